# Posts a comment, waits for the bot's answer, and reads it. GATEWAY, ENTITY and TIMEOUT are set by the pod. A node may learn a second late where a
# new gateway is, so what fails is sent again, under its key.
set -eu
room="helm-test-$(date +%s)-$$"
curl --fail --silent --show-error --insecure --max-time 10 --retry 8 --retry-delay 1 --retry-all-errors "$GATEWAY/api/comments" \
  --header 'Content-Type: application/json' --header "Idempotency-Key: $room" \
  --data "{\"domain\":\"$room\",\"username\":\"helm test\",\"color\":\"200120040\",\"text\":\"Is anybody there?\",\"botParams\":{\"entity\":\"$ENTITY\"}}" \
  >/dev/null
echo "posted to $room, for $ENTITY"
until=$(($(date +%s) + TIMEOUT))
while [ "$(date +%s)" -lt "$until" ]; do
  page=$(curl --fail --silent --show-error --insecure --max-time 10 --retry 8 --retry-delay 1 --retry-all-errors "$GATEWAY/api/comments?domain=$room&limit=10")
  case $page in
    *'"replyTo"'*) echo "answered: $page"; exit 0 ;;
    *'"FAILED"'* | *'"failed"'*) echo "the bot failed: $page"; exit 1 ;;
  esac
  sleep 1
done
echo "$ENTITY has not answered within $TIMEOUT s: $page"
exit 1
