{{- /*
Tokens. A part's Secret holds `token`, which it reads, and `next`, which it does not: the tokens file of the queue-service
holds the hashes of both, and of the one before. So a rotation only moves `next` to `token`, and whichever pod sees the
change first, its token is accepted. What is there is kept over upgrades; only a render without a cluster makes all of it
anew.
*/ -}}

{{- /* A new token as `rpt_<12 hex digits>_<64 hex digits>`, of 48 and 256 random bits. */ -}}
{{- define "repartee.newToken" -}}
rpt_{{ randBytes 32 | sha256sum | trunc 12 }}_{{ randBytes 32 | b64dec | printf "%x" }}
{{- end -}}

{{- /* A line of the tokens file. Takes (dict "token" "part" "role" "entities" "created"). */ -}}
{{- define "repartee.tokenLine" -}}
{{- $line := dict "id" (index (splitList "_" .token) 1) "role" .role "name" (printf "chart: %s" .part) "created" .created "sha256" (sha256sum .token) -}}
{{- if .entities }}{{ $_ := set $line "entities" .entities }}{{ end -}}
{{- $line | toJson -}}
{{- end -}}

{{- /* The parts that need a token, as a JSON list: part, Secret, role, entities. */ -}}
{{- define "repartee.parts" -}}
{{- $full := include "repartee.fullname" . -}}
{{- $parts := list (dict "part" "operator" "secret" (printf "%s-operator-token" $full) "role" "operator" "entities" list) -}}
{{- if not .Values.restGateway.tokenSecret -}}
{{- $parts = append $parts (dict "part" "gateway" "secret" (printf "%s-token" (include "repartee.gateway" .)) "role" "gateway" "entities" list) -}}
{{- end -}}
{{- range include "repartee.bots" . | fromJsonArray -}}
{{- if not .tokenSecret -}}
{{- $parts = append $parts (dict "part" (printf "bot %s" .name) "secret" (printf "%s-token" (include "repartee.bot" (dict "root" $ "bot" .))) "role" "worker" "entities" .entities) -}}
{{- end -}}
{{- end -}}
{{- $parts | toJson -}}
{{- end -}}

{{- /*
The tokens of one part as JSON: token, next, previous (empty if there is none), and when they were rotated last.
Takes (dict "held" the part's Secret as the cluster has it, or nothing; "rotation" and "acceptPrevious" of the values). A
token that is accepted no more is forgotten, so that nothing brings it back.
*/ -}}
{{- define "repartee.partTokens" -}}
{{- $token := "" -}}{{- $next := "" -}}{{- $previous := "" -}}
{{- $rotated := dateInZone "2006-01-02T15:04:05Z" now "UTC" -}}
{{- $rotates := false -}}
{{- if .held -}}
{{- $token = .held.data.token | b64dec -}}
{{- $next = .held.data.next | b64dec -}}
{{- $previous = default "" .held.data.previous | b64dec -}}
{{- if eq (index .held.metadata.annotations "repartee/rotation") (toString .rotation) -}}
{{- $rotated = index .held.metadata.annotations "repartee/rotated" -}}
{{- if not .acceptPrevious }}{{ $previous = "" }}{{ end -}}
{{- else -}}
{{- $previous = $token -}}{{- $token = $next -}}{{- $next = include "repartee.newToken" . -}}{{- $rotates = true -}}
{{- end -}}
{{- else -}}
{{- $token = include "repartee.newToken" . -}}{{- $next = include "repartee.newToken" . -}}
{{- end -}}
{{- dict "token" $token "next" $next "previous" $previous "rotated" $rotated "rotates" $rotates | toJson -}}
{{- end -}}
