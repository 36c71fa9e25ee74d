{{- /* What every pod has: the rules of Pod Security "restricted", no token of the API, the way to the queue-service. */ -}}

{{- define "repartee.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  {{- /* Walking through all files of a large volume at each start would take minutes. */}}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "repartee.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Where a pod may run. Takes (dict "root" $ "of" the values of the part). */ -}}
{{- define "repartee.placement" -}}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .of.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with .of.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- /* Settings as flags: a list repeats its flag. What the chart itself sets is refused. */ -}}
{{- define "repartee.settings" -}}
{{- $own := list "data-dir" "grpc-addr" "http-addr" "metrics-addr" "queue-url" "queue-ca" "token-file" "tokens-file" "tls-cert" "tls-key" "drain-delay" "cache-bytes" "entity-limits" "trusted-proxy" "entity" "name" "reply" "model" "openai-base-url" "api-key-file" "system-prompt-file" "mcp" "ready-file" "print-config" -}}
{{- range $flag, $value := .settings }}
{{- if has $flag $own }}
{{- fail (printf "%s.%s is set by the chart: use its own value for it (README.md of the chart lists them)" $.at $flag) }}
{{- end }}
{{- if kindIs "slice" $value }}
{{- range $value }}
- {{ printf "--%s=%v" $flag . | quote }}
{{- end }}
{{- else if kindIs "float64" $value }}
- {{ printf "--%s=%s" $flag (toJson $value) | quote }}
{{- else }}
- {{ printf "--%s=%v" $flag $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* How gateways and bots reach the queue-service, as flags. */ -}}
{{- define "repartee.toQueue" -}}
{{- $scheme := ternary "https" "http" (not (empty (include "repartee.queueTls" .))) -}}
- "--queue-url={{ $scheme }}://{{ include "repartee.queue" . }}.{{ .Release.Namespace }}.svc:50051"
- "--token-file=/etc/repartee/token/token"
{{- if and (include "repartee.queueTls" .) .Values.queueService.tls.caKey }}
- "--queue-ca=/etc/repartee/queue-ca/{{ .Values.queueService.tls.caKey }}"
{{- end }}
{{- end -}}

{{- /* Secrets are mounted as folders, never by subPath: then a change arrives without a restart. */ -}}
{{- define "repartee.toQueueMounts" -}}
- {name: token, mountPath: /etc/repartee/token, readOnly: true}
{{- if and (include "repartee.queueTls" .) .Values.queueService.tls.caKey }}
- {name: queue-ca, mountPath: /etc/repartee/queue-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- /* Takes (dict "root" $ "token" the Secret's name). Of the Secrets only what is needed is mounted. */ -}}
{{- define "repartee.toQueueVolumes" -}}
- name: token
  secret: {secretName: {{ .token }}, items: [{key: token, path: token}]}
{{- if and (include "repartee.queueTls" .root) .root.Values.queueService.tls.caKey }}
- name: queue-ca
  secret:
    secretName: {{ include "repartee.queueTlsSecret" .root }}
    items: [{key: {{ .root.Values.queueService.tls.caKey }}, path: {{ .root.Values.queueService.tls.caKey }}}]
{{- end }}
{{- end -}}

{{- /* The variables of every container. Takes (dict "root" $ "service" the name in traces). */ -}}
{{- define "repartee.env" -}}
- {name: RUST_LOG, value: {{ .root.Values.log | quote }}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- with .root.Values.telemetry }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ .protocol | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArg | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ $.service }}}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: "k8s.namespace.name={{ $.root.Release.Namespace }},k8s.pod.name=$(POD_NAME)"}
{{- end }}
{{- end }}
{{- end -}}
