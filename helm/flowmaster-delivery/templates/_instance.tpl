{{/* Dagster's instance on this cluster: the project's own dagster.yaml with another database and another launcher. */}}

{{- define "flowmaster.storage" -}}
custom:
  module: flowmaster_delivery.defs.postgres
  class: PostgresStorage
  config:
    hostname: {env: FLOWMASTER_DATABASE_HOST}
    port: {{ .Values.postgresql.port }}
    db_name: {{ .Values.postgresql.database }}
    username: {{ .Values.postgresql.user }}
    password_file: {env: FLOWMASTER_DATABASE_PASSWORD_FILE}
    {{- with .Values.postgresql.params }}
    params: {{ toYaml . | nindent 6 }}
    {{- end }}
{{- end -}}

{{- define "flowmaster.launcher" -}}
{{- $run := dict "root" . "component" "run" -}}
module: flowmaster_delivery.defs.launcher
class: EnvironmentRunLauncher
config:
  job_namespace: {{ .Release.Namespace }}
  job_image: {{ include "flowmaster.image" . }}
  image_pull_policy: {{ .Values.image.pullPolicy }}
  {{- with .Values.imagePullSecrets }}
  image_pull_secrets: {{ toYaml . | nindent 4 }}
  {{- end }}
  dagster_home: /opt/dagster/home
  patience_seconds: {{ .Values.runs.patienceSeconds | float64 }}
  ttl_seconds_after_finished: {{ .Values.runs.keepSeconds }}
  resources: {{ toYaml .Values.runs.resources | nindent 4 }}
  labels: {{ include "flowmaster.selector" $run | nindent 4 }}
  env_vars:
    {{- range fromYamlArray (include "flowmaster.variables" $run) }}
    - {{ printf "%s=%s" .name .value | quote }}
    {{- end }}
  # The launcher itself gives a run its own writable folders; dagster.yaml comes to it as an argument.
  volumes: {{ include "flowmaster.readVolumes" $run | nindent 4 }}
  volume_mounts: {{ include "flowmaster.readMounts" $run | nindent 4 }}
  environments:
    {{- range $name, $environment := fromYaml (include "flowmaster.environments" .) }}
    {{ $name }}:
      service_account_name: {{ include "flowmaster.fullname" $ }}-env-{{ $name }}
      {{- with $environment.kubeconfigSecret }}
      kubeconfig_secret: {{ . }}
      {{- end }}
      {{- with $environment.smokeSecret }}
      smoke_secret: {{ . }}
      {{- end }}
    {{- end }}
{{- end -}}

{{- define "flowmaster.instance" -}}
{{- $base := omit (fromYaml (.Files.Get "files/dagster.yaml")) "event_log_storage" -}}
{{- $_ := set $base "storage" (fromYaml (include "flowmaster.storage" .)) -}}
{{- $_ := set $base "run_launcher" (fromYaml (include "flowmaster.launcher" .)) -}}
{{- $_ := set $base.run_coordinator.config "max_concurrent_runs" .Values.runs.maxConcurrent -}}
{{- $base | toYaml -}}
{{- end -}}
