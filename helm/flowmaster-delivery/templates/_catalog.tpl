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

{{/* Environment to what it needs: namespace, the switches of its rights, its Secrets. */}}
{{- define "flowmaster.environments" -}}
{{- $catalog := fromYaml (include "flowmaster.catalog" .) -}}
{{- $jobs := false -}}
{{- $manifests := false -}}
{{- range $service := $catalog.services -}}
{{- if eq ($service.kind | default "deployment") "job" -}}{{- $jobs = true -}}{{- end -}}
{{- if eq ($service.kind | default "deployment") "manifests" -}}{{- $manifests = true -}}{{- end -}}
{{- range $test := $service.smoke -}}
{{- if $test.image -}}{{- $jobs = true -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $found := dict -}}
{{- range $name, $environment := required "catalog: it names no environments" $catalog.environments -}}
{{- $own := get $.Values.environments $name | default dict -}}
{{- $_ := set $found $name (dict
      "namespace" (required (printf "catalog: environment %s has no namespace" $name) $environment.namespace)
      "canary" (not (empty $environment.canary))
      "jobs" $jobs
      "manifests" $manifests
      "kubeconfigSecret" ($own.kubeconfigSecret | default "")
      "smokeSecret" ($own.smokeSecret | default "")) -}}
{{- end -}}
{{- range $name, $_ := .Values.environments -}}
{{- if not (hasKey $found $name) -}}
{{- fail (printf "environments: the catalog has no environment %s; it has %s" $name (keys $found | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- $found | toYaml -}}
{{- end -}}
