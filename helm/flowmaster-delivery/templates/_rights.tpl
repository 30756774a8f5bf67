{{/* Held against flowmaster_delivery/policy/rights.py by a test: not one verb more, not one less. */}}

{{- define "flowmaster.rights.env" -}}
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, patch{{ if .canary }}, create, delete{{ end }}]
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}
{{- if .jobs }}
- {apiGroups: [batch], resources: [jobs], verbs: [get, create]}
- {apiGroups: [batch], resources: [cronjobs], verbs: [get]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
{{- end }}
{{- end -}}

{{- define "flowmaster.rights.view" -}}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
{{- end -}}
