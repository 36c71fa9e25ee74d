// A Repartee worker in Go: repeats what it is told, in upper case, and shows each word as it comes.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "repartee-worker/repartee/v1"
)

var (
	url       = flag.String("queue-url", "127.0.0.1:50051", "host:port of the queue-service")
	ca        = flag.String("ca", "", "file with the authority, PEM, of a queue-service that speaks TLS")
	tokenFile = flag.String("token-file", "", "file with the worker's token; or the token in REPARTEE_TOKEN")
	entity    = flag.String("entity", "shout", "the entity that is answered")
	name      = flag.String("name", "go-worker", "name of the worker in claims")
	think     = flag.Float64("think", 0, "seconds to think over each answer")
)

// The calls that end a claim are repeated by gRPC itself, with jitter.
const retries = `{"methodConfig": [{
	"name": [
		{"service": "repartee.v1.QueueService", "method": "CompleteMessage"},
		{"service": "repartee.v1.QueueService", "method": "FailMessage"},
		{"service": "repartee.v1.QueueService", "method": "ReleaseMessage"}
	],
	"waitForReady": true,
	"retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "5s", "backoffMultiplier": 3,
		"retryableStatusCodes": ["UNAVAILABLE", "UNKNOWN"]
	}
}]}`

// What the bot says. If it fails, the message is tried again later, and operators read why.
func reply(ctx context.Context, text string, show func(string)) (string, error) {
	if strings.ToLower(text) == strings.ToUpper(text) {
		return "", errors.New("")
	}
	if text == strings.ToUpper(text) {
		return "", errors.New("it is loud already: " + text)
	}
	words := strings.Split(strings.ToUpper(text), " ")
	for _, word := range words {
		if err := pause(ctx, *think/float64(len(words))); err != nil {
			return "", err
		}
		show(word + " ")
	}
	return strings.Join(words, " "), nil
}

// Why it failed, in 1 to 1,024 bytes, as the service takes it; an error without a text is told by its type.
func reason(failure error) string {
	text := failure.Error()
	text = strings.ToValidUTF8(text[:min(len(text), 1000)], "") // no half character
	if text == "" {
		return fmt.Sprintf("%T", failure)
	}
	return text
}

// Answers one message under its lease; gives it back if the worker has to leave meanwhile.
func answer(leaving context.Context, queue pb.QueueServiceClient, lease *pb.LeaseRef, text string) error {
	ctx, lose := context.WithCancel(leaving)
	defer lose()
	go renew(ctx, lose, queue, lease)
	show := func(string) {}
	if draft, err := queue.StreamDraft(ctx); err == nil && draft.Send(&pb.StreamDraftRequest{Lease: lease}) == nil {
		show = func(delta string) { // a draft that breaks off is no reason to stop
			_ = draft.Send(&pb.StreamDraftRequest{Content: &pb.StreamDraftRequest_Delta{Delta: delta}})
		}
	}
	said, failure := reply(ctx, text, show)
	call, done := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer done()
	var err error
	switch {
	case leaving.Err() != nil:
		_, err = queue.ReleaseMessage(call, &pb.ReleaseMessageRequest{Lease: lease})
	case ctx.Err() != nil: // the work is lost: there is nothing to report
	case failure != nil:
		_, err = queue.FailMessage(call, &pb.FailMessageRequest{Lease: lease, Error: reason(failure), Retryable: true})
	default:
		_, err = queue.CompleteMessage(call, &pb.CompleteMessageRequest{Lease: lease, Reply: &pb.Reply{Text: said}})
	}
	return err
}

// Renews a lease, which lasts 10 s at first. A refusal means that the work is lost, or cancelled.
func renew(ctx context.Context, lose func(), queue pb.QueueServiceClient, lease *pb.LeaseRef) {
	request := &pb.RenewLeasesRequest{Leases: []*pb.LeaseRef{lease}}
	for pause(ctx, 3) == nil {
		call, done := context.WithTimeout(ctx, 3*time.Second)
		answer, err := queue.RenewLeases(call, request) // one that failed is made up for by the next
		if done(); err == nil && answer.Outcomes[0].GetRejection() != nil {
			lose()
		}
	}
}

// Follows one stream of work to its end. One that is silent for longer than two heartbeats is dead.
func follow(ctx context.Context, queue pb.QueueServiceClient, request *pb.StreamPendingRequest, hear func(*pb.StreamPendingResponse)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := 10 * time.Second
	silence := time.AfterFunc(patience, cancel)
	defer silence.Stop()
	stream, err := queue.StreamPending(ctx, request)
	for err == nil {
		var event *pb.StreamPendingResponse
		if event, err = stream.Recv(); err == nil {
			if hello := event.GetHello(); hello != nil {
				patience = 2 * hello.HeartbeatInterval.AsDuration()
			}
			silence.Reset(patience)
			hear(event)
		}
	}
	return err
}

// The token as its file holds it now, from the next call on. While the file is away, the last one that was read counts.
type token struct{ last atomic.Pointer[[]byte] }

func (t *token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	text := os.Getenv("REPARTEE_TOKEN")
	if *tokenFile != "" {
		content, err := os.ReadFile(*tokenFile)
		if err == nil {
			t.last.Store(&content)
		}
		last := t.last.Load()
		if last == nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
		text = string(*last)
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + text}, nil
}

func (*token) RequireTransportSecurity() bool { return false }

// Waits for so many seconds, or until the context ends.
func pause(ctx context.Context, seconds float64) error {
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func main() {
	flag.Parse()
	transport := insecure.NewCredentials()
	if *ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(*ca, ""); err != nil {
			log.Fatal(err)
		}
	}
	again := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.5, MaxDelay: 5 * time.Second}
	conn, err := grpc.NewClient(*url,
		grpc.WithTransportCredentials(transport), grpc.WithPerRPCCredentials(&token{}), grpc.WithDefaultServiceConfig(retries),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: 5 * time.Second}))
	if err != nil {
		log.Fatal(err)
	}
	leaving, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	queue, accepted, failures := pb.NewQueueServiceClient(conn), false, 0.0
	var held sync.Map // tokens of the leases: what is held is sent again on a new stream
	var works sync.WaitGroup
	hear := func(event *pb.StreamPendingResponse) {
		if accepted = true; event.GetHello() == nil {
			failures = 0
		}
		work := event.GetWork()
		if work == nil {
			return
		}
		lease := &pb.LeaseRef{MessageId: work.Message.Id, LeaseToken: work.Lease.Token}
		if _, known := held.LoadOrStore(lease.LeaseToken, true); known {
			return
		}
		works.Go(func() {
			defer held.Delete(lease.LeaseToken)
			if err := answer(leaving, queue, lease, work.Message.Text); err != nil {
				log.Printf("%s is not finished: %v", lease.MessageId, err)
			}
		})
	}
	request := &pb.StreamPendingRequest{WorkerId: *name, SessionId: rand.Text(), Entities: []string{*entity}, MaxInFlight: 4}
	for ; leaving.Err() == nil; failures++ {
		err := follow(leaving, queue, request, hear)
		log.Printf("the stream broke: %v", err)
		code := status.Code(err)
		if refused := code == codes.Unauthenticated || code == codes.PermissionDenied; refused && !accepted {
			os.Exit(1) // a token that was accepted before is being replaced
		}
		_ = pause(leaving, mathrand.Float64()*min(10, 0.05*math.Pow(2, failures)))
	}
	works.Wait()
}
