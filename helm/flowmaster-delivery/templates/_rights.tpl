{{/*
The rules of an environment's Roles. Held against flowmaster_delivery/policy/rights.py by a test: not one verb more, not
one less. Each takes the environment's switches.
*/}}

{{- define "flowmaster.rights.env" -}}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list, watch]}
{{- with concat .workloads .canaries }}
- {apiGroups: [apps], resources: [deployments], verbs: [patch], resourceNames: {{ toJson . }}}
{{- end }}
{{- with .leases }}
# What is to be created has no name yet that a Role could know.
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, update], resourceNames: {{ toJson . }}}
{{- end }}
{{- with .canaries }}
- {apiGroups: [apps], resources: [deployments], verbs: [create]}
- {apiGroups: [apps], resources: [deployments], verbs: [delete], resourceNames: {{ toJson . }}}
{{- end }}
{{- with .routed }}
- {apiGroups: [""], resources: [services], verbs: [list, create]}
- {apiGroups: [""], resources: [services], verbs: [get, delete], resourceNames: {{ toJson . }}}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes], verbs: [get, list, patch]}
{{- end }}
{{- if or .jobs .containers }}
- {apiGroups: [batch], resources: [jobs], verbs: [get, create]}
{{- if .containers }}
- {apiGroups: [batch], resources: [cronjobs], verbs: [get]}
{{- else }}
- {apiGroups: [batch], resources: [cronjobs], verbs: [get], resourceNames: {{ toJson .jobs }}}
{{- end }}
{{- end }}
{{- if .containers }}
- {apiGroups: [batch], resources: [jobs], verbs: [list]}
- {apiGroups: [batch], resources: [jobs/status], verbs: [get]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
- {apiGroups: [""], resources: [events], verbs: [list]}
{{- end }}
{{- range $resource := uniq .applies }}
{{- $parts := splitn "." 2 $resource }}
- {apiGroups: [{{ $parts._1 | default "" | quote }}], resources: [{{ $parts._0 }}], verbs: [get, create, patch]}
{{- end }}
{{- end -}}

{{- define "flowmaster.rights.view" -}}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list]}
- {apiGroups: [apps], resources: [replicasets], verbs: [list]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
{{- end -}}
