{{- /*
Tokens. A part's Secret holds `token`, which it reads, and `next`, which it does not: the tokens file of the queue-service
holds the hashes of both, and of the one before. So a rotation only moves `next` to `token`, and whichever pod sees the
change first, its token is accepted.

The Secrets are hooks, rendered only if they are missing or change. So they belong to no revision: an upgrade leaves them
alone, and a rollback does not bring back tokens that were rotated or revoked since.
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

{{- /* What makes a Secret one of those. */ -}}
{{- define "repartee.tokenHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-delete-policy: before-hook-creation
{{- end -}}

{{- /*
The tokens of one part as JSON: token, next, previous (empty if there is none), the number of their rotation and when it was;
whether they rotate now, and whether they differ from what the cluster has.
Takes (dict "held" the part's Secret as the cluster has it, or nothing; "rotation" and "acceptPrevious" of the values). A
token that is accepted no more is forgotten, so that nothing brings it back. A lower rotation than the last one, as the
values of an older revision have it, is none.
*/ -}}
{{- define "repartee.partTokens" -}}
{{- $rotated := dateInZone "2006-01-02T15:04:05Z" now "UTC" -}}
{{- if not .held -}}
{{- dict "token" (include "repartee.newToken" .) "next" (include "repartee.newToken" .) "previous" "" "rotation" .rotation "rotated" $rotated "rotates" false "changed" true | toJson -}}
{{- else -}}
{{- $token := .held.data.token | b64dec -}}
{{- $next := .held.data.next | b64dec -}}
{{- $previous := default "" .held.data.previous | b64dec -}}
{{- $rotation := index .held.metadata.annotations "repartee/rotation" | int -}}
{{- if gt (int .rotation) $rotation -}}
{{- dict "token" $next "next" (include "repartee.newToken" .) "previous" $token "rotation" .rotation "rotated" $rotated "rotates" true "changed" true | toJson -}}
{{- else -}}
{{- $forgets := and $previous (not .acceptPrevious) -}}
{{- dict "token" $token "next" $next "previous" (ternary "" $previous (not (empty $forgets))) "rotation" $rotation "rotated" (index .held.metadata.annotations "repartee/rotated") "rotates" false "changed" (not (empty $forgets)) | toJson -}}
{{- end -}}
{{- end -}}
{{- end -}}
