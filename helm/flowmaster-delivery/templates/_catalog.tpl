{{/* What the catalog says, as far as the cluster must know it. */}}

{{- define "flowmaster.document" -}}
{{- $read := fromYaml .text -}}
{{- if hasKey $read "Error" -}}
{{- fail (printf "%s is no YAML: %s" .what $read.Error) -}}
{{- end -}}
{{- $read | toYaml -}}
{{- end -}}

{{/* Catalog and overlay, merged as the platform merges them: mappings are, lists of the overlay replace. */}}
{{- define "flowmaster.catalog" -}}
{{- $text := required "catalog: give its text, --set-file catalog=my-catalog.yaml" .Values.catalog -}}
{{- $catalog := fromYaml (include "flowmaster.document" (dict "text" $text "what" "catalog")) -}}
{{- if .Values.overlay -}}
{{- $overlay := fromYaml (include "flowmaster.document" (dict "text" .Values.overlay "what" "overlay")) -}}
{{- $catalog = mergeOverwrite $catalog $overlay -}}
{{- end -}}
{{- $catalog | toYaml -}}
{{- end -}}

{{/*
What of a service decides the rights in an environment, as model/rights.py names it. Takes a dict: name, service,
environment (its name), defaults (what the environment itself says).
*/}}
{{- define "flowmaster.service.switches" -}}
{{- $kind := .service.kind | default "deployment" -}}
{{- $own := get (.service.safeguards | default dict) .environment | default dict -}}
{{- $safe := mergeOverwrite (deepCopy .defaults) (deepCopy $own) -}}
{{- $canary := $safe.canary | default dict -}}
{{- $tried := and (eq $kind "deployment") (not (empty $canary)) (ne (toString $canary.enabled) "false") -}}
{{- $containers := false -}}
{{- if has "smoke" ($safe.validation | default list) -}}
{{- range $test := .service.smoke -}}{{- if $test.image -}}{{- $containers = true -}}{{- end -}}{{- end -}}
{{- end -}}
{{- dict
      "kind" $kind
      "workload" (.service.workload | default .name)
      "canary" $tried
      "routed" (and $tried (ne ($canary.traffic | default "pods") "pods"))
      "containers" $containers
    | toYaml -}}
{{- end -}}

{{/* The switches of an environment's rights. Takes a dict: catalog, name. */}}
{{- define "flowmaster.switches" -}}
{{- $on := dict "workloads" list "leases" list "canaries" list "routed" list "jobs" list "containers" false "applies" list -}}
{{- $defaults := get .catalog.environments .name -}}
{{- range $name, $service := .catalog.services -}}
{{- $one := fromYaml (include "flowmaster.service.switches" (dict "name" $name "service" $service "environment" $.name "defaults" $defaults)) -}}
{{- if ne $one.kind "artifact" -}}
{{- $_ := set $on "leases" (append $on.leases (printf "flowmaster-%s" $name)) -}}
{{- $_ := set $on "containers" (or $on.containers $one.containers) -}}
{{- end -}}
{{- if eq $one.kind "deployment" -}}{{- $_ := set $on "workloads" (append $on.workloads $one.workload) -}}{{- end -}}
{{- if eq $one.kind "job" -}}{{- $_ := set $on "jobs" (append $on.jobs $one.workload) -}}{{- end -}}
{{- if eq $one.kind "manifests" -}}{{- $_ := set $on "applies" (concat $on.applies ($service.applies | default list)) -}}{{- end -}}
{{- if $one.canary -}}{{- $_ := set $on "canaries" (append $on.canaries (printf "%s-canary" $one.workload)) -}}{{- end -}}
{{- if $one.routed -}}{{- $_ := set $on "routed" (append $on.routed (printf "%s-canary" $one.workload)) -}}{{- end -}}
{{- end -}}
{{- $_ := set $on "leases" (append $on.leases (printf "flowmaster-watch.%s" .name)) -}}
{{- $on | toYaml -}}
{{- end -}}

{{/* Environment to what it needs: namespace, Secrets, the switches of its rights. */}}
{{- define "flowmaster.environments" -}}
{{- $catalog := fromYaml (include "flowmaster.catalog" .) -}}
{{- $found := dict -}}
{{- range $name, $environment := required "catalog: it names no environments" $catalog.environments -}}
{{- $own := get $.Values.environments $name | default dict -}}
{{- $_ := set $found $name (dict
      "namespace" (required (printf "catalog: environment %s has no namespace" $name) $environment.namespace)
      "kubeconfigSecret" ($own.kubeconfigSecret | default "")
      "smokeSecret" ($own.smokeSecret | default "")
      "switches" (fromYaml (include "flowmaster.switches" (dict "catalog" $catalog "name" $name)))) -}}
{{- end -}}
{{- range $name, $_ := .Values.environments -}}
{{- if not (hasKey $found $name) -}}
{{- fail (printf "environments: the catalog has no environment %s; it has %s" $name (keys $found | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $found | toYaml -}}
{{- end -}}
