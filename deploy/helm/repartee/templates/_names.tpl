{{- /* Names, labels and images. */ -}}

{{- define "repartee.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "repartee.queue" -}}{{ include "repartee.fullname" . }}-queue{{- end -}}
{{- define "repartee.gateway" -}}{{ include "repartee.fullname" . }}-gateway{{- end -}}
{{- /* The name of a bot's objects. Takes (dict "root" $ "bot" $bot). */ -}}
{{- define "repartee.bot" -}}{{ include "repartee.fullname" .root }}-bot-{{ .bot.name }}{{- end -}}

{{- /* The labels that choose pods, which may never change. Takes (dict "root" $ "component" "…"). */ -}}
{{- define "repartee.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- /* All labels. Takes what repartee.selector takes. */ -}}
{{- define "repartee.labels" -}}
{{ include "repartee.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- /* The image of a binary. Takes (dict "root" $ "binary" "…"). */ -}}
{{- define "repartee.image" -}}
{{ .root.Values.image.registry }}/{{ .binary }}:{{ default .root.Chart.AppVersion .root.Values.image.tag }}
{{- with index .root.Values.image.digest (.binary | camelcase | untitle) }}@{{ . }}{{ end }}
{{- end -}}

{{- /* True (a text) if the gRPC port speaks TLS. */ -}}
{{- define "repartee.queueTls" -}}
{{- with .Values.queueService.tls }}{{ if or .secretName .certManager.enabled }}yes{{ end }}{{ end -}}
{{- end -}}
{{- define "repartee.gatewayTls" -}}
{{- with .Values.restGateway.tls }}{{ if or .secretName .certManager.enabled }}yes{{ end }}{{ end -}}
{{- end -}}
{{- define "repartee.queueTlsSecret" -}}
{{ .Values.queueService.tls.secretName | default (printf "%s-tls" (include "repartee.queue" .)) }}
{{- end -}}
{{- define "repartee.gatewayTlsSecret" -}}
{{ .Values.restGateway.tls.secretName | default (printf "%s-tls" (include "repartee.gateway" .)) }}
{{- end -}}

{{- /* The bots as a JSON list, each with what botDefaults gives it. */ -}}
{{- define "repartee.bots" -}}
{{- $bots := list -}}
{{- range .Values.bots -}}
{{- $bots = append $bots (mergeOverwrite (deepCopy $.Values.botDefaults) .) -}}
{{- end -}}
{{- $bots | toJson -}}
{{- end -}}
