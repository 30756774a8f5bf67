{{/* What the pods of all parts have in common: security, settings, secrets by reference. */}}

{{- define "flowmaster.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "flowmaster.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* A change of what is mounted by subPath, or read once, must restart the pod. */}}
{{- define "flowmaster.podAnnotations" -}}
checksum/config: {{ include (print $.Template.BasePath "/config.yaml") . | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "flowmaster.scheduling" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The keys of the platform's Secret that a part reads: the one table of who knows what. Takes a dict: root, component. */}}
{{- define "flowmaster.keys" -}}
{{- $s := .root.Values.secrets -}}
{{- $on := dict "database-password" true "seal-key" true "gitlab-token" true
      "webhook-signing-token" $s.webhookSigningToken "webhook-secret" $s.webhookSecret
      "registry-password" $s.registryPassword "slack-webhook" $s.slackWebhook "metrics-token" $s.metricsToken -}}
{{- $acting := list "database-password" "seal-key" "gitlab-token" "registry-password" "slack-webhook" "metrics-token" -}}
{{- $reads := dict
      "view" (list "database-password")
      "daemon" (list "database-password" "seal-key")
      "launching" (list "database-password" "seal-key")
      "webserver" (list "database-password" "seal-key" "gitlab-token")
      "code" (list "database-password" "seal-key" "gitlab-token" "registry-password" "slack-webhook")
      "server" (concat $acting (list "webhook-signing-token" "webhook-secret"))
      "watch" $acting
      "run" $acting
      "doctor" $acting
      "retention" (list "database-password" "seal-key")
      "migrate" (list "database-password")
      "uninstall" (list "database-password")
      "postgresql" (list "database-password") -}}
{{- $keys := list -}}
{{- range $key := get $reads .component -}}
{{- if get $on $key -}}{{- $keys = append $keys $key -}}{{- end -}}
{{- end -}}
{{- $keys | toYaml -}}
{{- end -}}

{{/* A part's secrets as a volume. Takes a dict: root, component. */}}
{{- define "flowmaster.secretsVolume" -}}
name: secrets-{{ .component }}
secret:
  secretName: {{ required "secrets.name: name the Secret that you made" .root.Values.secrets.name }}
  defaultMode: 0440
  items:
    {{- range $key := fromYamlArray (include "flowmaster.keys" .) }}
    - {key: {{ $key }}, path: {{ $key }}}
    {{- end }}
{{- end -}}

{{/* A part's settings. Takes a dict: root, component. */}}
{{- define "flowmaster.variables" -}}
- {name: DAGSTER_HOME, value: /opt/dagster/home}
- {name: FLOWMASTER_CATALOG, value: /etc/flowmaster/config/catalog.yaml}
{{- if .root.Values.overlay }}
- {name: FLOWMASTER_OVERLAY, value: /etc/flowmaster/config/overlay.yaml}
{{- end }}
- {name: FLOWMASTER_WATCH_APART, value: "1"}
- {name: FLOWMASTER_DATABASE_HOST, value: {{ include "flowmaster.databaseHost" .root | quote }}}
- {name: FLOWMASTER_CODE_HOST, value: {{ include "flowmaster.host" (dict "root" .root "component" "code") | quote }}}
{{- with .root.Values.url }}
- {name: FLOWMASTER_UI_URL, value: {{ . | quote }}}
- {name: FLOWMASTER_URL, value: {{ . | quote }}}
{{- end }}
{{- with .root.Values.registryUser }}
- {name: FLOWMASTER_REGISTRY_USER, value: {{ . | quote }}}
{{- end }}
{{- range $key := fromYamlArray (include "flowmaster.keys" .) }}
- {name: FLOWMASTER_{{ $key | upper | replace "-" "_" }}_FILE, value: /etc/flowmaster/secrets/{{ $key }}}
{{- end }}
{{- end -}}

{{/* Where a container finds all that. Takes a dict: root, component. */}}
{{- define "flowmaster.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /opt/dagster/home}
- {name: instance, mountPath: /opt/dagster/home/dagster.yaml, subPath: dagster.yaml, readOnly: true}
{{ include "flowmaster.readMounts" . }}
{{- end -}}

{{- define "flowmaster.readMounts" -}}
- {name: config, mountPath: /etc/flowmaster/config, readOnly: true}
- {name: secrets-{{ .component }}, mountPath: /etc/flowmaster/secrets, readOnly: true}
{{- end -}}

{{- define "flowmaster.volumes" -}}
- name: tmp
  emptyDir: {}
- name: home
  emptyDir: {}
- name: instance
  configMap: {name: {{ .instance | default (printf "%s-instance" (include "flowmaster.fullname" .root)) }}}
{{ include "flowmaster.readVolumes" . }}
{{- end -}}

{{- define "flowmaster.readVolumes" -}}
- name: config
  configMap: {name: {{ .config | default (printf "%s-catalog" (include "flowmaster.fullname" .root)) }}}
- {{ include "flowmaster.secretsVolume" . | nindent 2 | trim }}
{{- end -}}
