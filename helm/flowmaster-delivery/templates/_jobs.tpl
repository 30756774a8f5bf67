{{/*
The pod of something that is done once, up to what it does. Takes a dict: root, component, account, command, and for
hooks `instance`: the ConfigMap with dagster.yaml where the release's own is not there yet; `kubeconfigSecret` for another
cluster.
*/}}
{{- define "flowmaster.oncePod" -}}
metadata:
  labels: {{ include "flowmaster.labels" . | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: {{ include "flowmaster.fullname" .root }}-{{ .account | default "none" }}
  automountServiceAccountToken: {{ not (empty .account) }}
  securityContext: {{ include "flowmaster.podSecurity" .root | nindent 4 }}
  {{- with include "flowmaster.scheduling" .root }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      {{- include "flowmaster.container" . | nindent 6 }}
      command: {{ toJson .command }}
      env: {{ include "flowmaster.variables" . | nindent 8 }}
        {{- with .env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
        {{- if .kubeconfigSecret }}
        - {name: FLOWMASTER_KUBECONFIG, value: /etc/flowmaster/cluster/kubeconfig}
        {{- end }}
      resources:
        requests: {cpu: 50m, memory: 256Mi}
        limits: {memory: 1Gi}
      volumeMounts: {{ include "flowmaster.mounts" . | nindent 8 }}
        {{- if .kubeconfigSecret }}
        - {name: cluster, mountPath: /etc/flowmaster/cluster, readOnly: true}
        {{- end }}
  volumes: {{ include "flowmaster.volumes" . | nindent 4 }}
    {{- with .kubeconfigSecret }}
    - name: cluster
      secret: {secretName: {{ . }}, defaultMode: 0440}
    {{- end }}
{{- end -}}


{{/* Names of the pods of `helm test`, which Helm leaves for their logs to be read. */}}
{{- define "flowmaster.doctors" -}}
{{- $name := printf "%s-doctor" (include "flowmaster.fullname" .) -}}
{{- $names := list $name -}}
{{- range $environment, $_ := fromYaml (include "flowmaster.environments" .) -}}
{{- $names = append $names (printf "%s-%s" $name $environment) -}}
{{- end -}}
{{- $names | toYaml -}}
{{- end -}}
