{{- /* What the schema cannot say: values that contradict each other. */ -}}

{{- define "repartee.checks" -}}
{{- if and (or .Values.ingress.enabled .Values.httpRoute.enabled) (not .Values.restGateway.trustedProxies) -}}
{{- fail "restGateway.trustedProxies is empty, but ingress or httpRoute is enabled: all browsers would share the limits of one client. Name the networks that the proxies' pods call from, such as 10.0.0.0/8." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty, but ingress is enabled: name the host at which browsers reach the page." -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty, but httpRoute is enabled: name the Gateway that it is attached to." -}}
{{- end -}}
{{- range $part := list "queueService" "restGateway" -}}
{{- $tls := (index $.Values $part).tls -}}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuer.name) -}}
{{- fail (printf "%s.tls.certManager.issuer.name is empty: name the issuer that makes the certificate." $part) -}}
{{- end -}}
{{- if and $tls.certManager.enabled $tls.secretName -}}
{{- fail (printf "%s.tls names a Secret and enables cert-manager: choose one of them." $part) -}}
{{- end -}}
{{- end -}}
{{- range $part := list "queueService" "restGateway" -}}
{{- $values := index $.Values $part -}}
{{- $delay := 0 -}}
{{- if regexMatch "^[0-9]+s$" $values.drainDelay }}{{ $delay = trimSuffix "s" $values.drainDelay | atoi }}{{ end -}}
{{- if regexMatch "^[0-9]+m$" $values.drainDelay }}{{ $delay = trimSuffix "m" $values.drainDelay | atoi | mul 60 }}{{ end -}}
{{- if lt (int $values.terminationGracePeriodSeconds) (int (add $delay 10)) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, but has to be 10 more than the %s of drainDelay: the pod would be killed while it still answers." $part (int $values.terminationGracePeriodSeconds) $values.drainDelay) -}}
{{- end -}}
{{- end -}}
{{- with .Values.restGateway.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail (printf "restGateway.autoscaling.minReplicas is %d, above maxReplicas, which is %d." (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range include "repartee.bots" . | fromJsonArray -}}
{{- if has .name $names -}}
{{- fail (printf "bots: two entries have the name %s; each needs one of its own." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if and (not .reply) (not (and .model .baseUrl)) -}}
{{- fail (printf "bots: %s has nothing to answer with: give it a model and a baseUrl, or reply: echo." .name) -}}
{{- end -}}
{{- if and .reply (or .model .baseUrl) -}}
{{- fail (printf "bots: %s has a reply and a model or baseUrl: choose one of them." .name) -}}
{{- end -}}
{{- if and $.Values.tokens.existingSecret (not .tokenSecret) -}}
{{- fail (printf "bots: %s has no tokenSecret, but tokens.existingSecret is named, so the chart makes no tokens." .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tokens.existingSecret (not .Values.restGateway.tokenSecret) -}}
{{- fail "restGateway.tokenSecret is empty, but tokens.existingSecret is named, so the chart makes no tokens." -}}
{{- end -}}
{{- end -}}
