{{/*
A Deployment up to its pod's containers, which the caller's file adds, indented by six.
Takes a dict: root, component, replicas, strategy, account (a ServiceAccount's suffix; none: no rights and no token),
apart (where several containers share the pod: the token is mounted by the one that uses it, flowmaster.tokenMount), name (suffix where one part has several, as the watch has), metrics (whether it tells any).
*/}}
{{- define "flowmaster.deployment" -}}
{{- $name := printf "%s-%s" (include "flowmaster.fullname" .root) (.name | default .component) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{ include "flowmaster.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas | default 1 }}
  strategy: {type: {{ .strategy | default "RollingUpdate" }}}
  selector:
    matchLabels: {{ include "flowmaster.selector" . | nindent 6 }}
      {{- with .environment }}
      flowmaster.ai/environment: {{ . }}
      {{- end }}
  template:
    metadata:
      labels: {{ include "flowmaster.labels" . | nindent 8 }}
        {{- with .environment }}
        flowmaster.ai/environment: {{ . }}
        {{- end }}
        {{- if .metrics }}
        flowmaster.ai/metrics: "true"
        {{- end }}
      annotations: {{ include "flowmaster.podAnnotations" .root | nindent 8 }}
    spec:
      serviceAccountName: {{ include "flowmaster.fullname" .root }}-{{ .account | default "none" }}
      automountServiceAccountToken: {{ not (or (empty .account) .apart) }}
      securityContext: {{ include "flowmaster.podSecurity" .root | nindent 8 }}
      {{- with include "flowmaster.scheduling" .root }}
      {{- . | nindent 6 }}
      {{- end }}
{{- end -}}

{{/* The pod's own token, for one of its containers. */}}
{{- define "flowmaster.tokenVolume" -}}
name: token
projected:
  defaultMode: 0440
  sources:
    - serviceAccountToken: {path: token, expirationSeconds: 3607}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
{{- end -}}

{{- define "flowmaster.tokenMount" -}}
- {name: token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{/* What every container of ours begins with. Takes a dict: root, component. */}}
{{- define "flowmaster.container" -}}
image: {{ include "flowmaster.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext: {{ include "flowmaster.containerSecurity" .root | nindent 2 }}
{{- end -}}

{{/* A Service in front of one port. Takes a dict: root, component, port, target. */}}
{{- define "flowmaster.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "flowmaster.fullname" .root }}-{{ .component }}
  labels: {{ include "flowmaster.labels" . | nindent 4 }}
spec:
  selector: {{ include "flowmaster.selector" . | nindent 4 }}
  ports:
    - {name: {{ .portName | default "http" }}, port: {{ .port }}, targetPort: {{ .target }}, protocol: TCP}
{{- end -}}

{{/*
Probes of a part by `flowmaster alive`, which asks whether its work is being done, not whether a port is open. A start
may take long on a node that starts everything at once; nothing is restarted for what somebody else keeps it from. Each
ends itself: not every container runtime ends a probe that is late, and on a busy node they would pile up. Takes
the part's name.
*/}}
{{- define "flowmaster.probes" -}}
startupProbe:
  exec: {command: [timeout, "15", flowmaster, alive, {{ . }}]}
  periodSeconds: 5
  timeoutSeconds: 16
  failureThreshold: 60
readinessProbe:
  exec: {command: [timeout, "15", flowmaster, alive, {{ . }}, --ready]}
  periodSeconds: 15
  timeoutSeconds: 16
livenessProbe:
  exec: {command: [timeout, "15", flowmaster, alive, {{ . }}]}
  periodSeconds: 30
  timeoutSeconds: 16
  failureThreshold: 5
{{- end -}}

{{/* A webserver of Dagster's on the pod's loopback: kubelet cannot reach it, so the probe runs inside. */}}
{{- define "flowmaster.dagsterWebserver" -}}
- name: dagster
  {{- include "flowmaster.container" . | nindent 2 }}
  command: {{ concat (.program | default (list "dagster-webserver")) (list "--host" (.host | default "127.0.0.1") "--port" "3000" "--workspace" "/opt/dagster/home/workspace.yaml") | toJson }}
  {{- with .args }}
  args: {{ toYaml . | nindent 4 }}
  {{- end }}
  env: {{ include "flowmaster.variables" . | nindent 4 }}
    {{- with .env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "flowmaster.probes" "webserver" | nindent 2 }}
  resources: {{ toYaml .root.Values.webserver.resources | nindent 4 }}
  volumeMounts: {{ include "flowmaster.mounts" . | nindent 4 }}
    - {name: instance, mountPath: /opt/dagster/home/workspace.yaml, subPath: workspace.yaml, readOnly: true}
    {{- if .apart }}
    {{- include "flowmaster.tokenMount" . | nindent 4 }}
    {{- end }}
{{- end -}}
