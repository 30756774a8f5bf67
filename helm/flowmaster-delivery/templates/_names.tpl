{{/* Names and labels: who is who in the release. */}}

{{- define "flowmaster.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "flowmaster.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Release.Name (include "flowmaster.name" .) -}}
{{- include "flowmaster.name" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "flowmaster.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels of a part. Takes a dict: root, component. */}}
{{- define "flowmaster.selector" -}}
app.kubernetes.io/name: {{ include "flowmaster.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "flowmaster.labels" -}}
{{ include "flowmaster.selector" . }}
app.kubernetes.io/part-of: flowmaster-delivery
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "flowmaster.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The address of a Service of ours, in an environment variable of a pod. Takes a dict: root, component. */}}
{{- define "flowmaster.host" -}}
{{- $name := printf "%s-%s" (include "flowmaster.fullname" .root) .component -}}
{{- if eq .root.Values.serviceDiscovery "env" -}}
$({{ $name | upper | replace "-" "_" }}_SERVICE_HOST)
{{- else -}}
{{ $name }}
{{- end -}}
{{- end -}}

{{- define "flowmaster.databaseHost" -}}
{{- if .Values.postgresql.enabled -}}
{{ include "flowmaster.host" (dict "root" . "component" "postgresql") }}
{{- else -}}
{{ required "postgresql.host: name the database, or set postgresql.enabled" .Values.postgresql.host }}
{{- end -}}
{{- end -}}
