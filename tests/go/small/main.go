// A small worker, in capitals. Left to ../worker.go: drafts, failure reports, TLS, token files, giving work back at the end.
package main

import (
	"context"
	"crypto/rand"
	"log"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "repartee-worker/repartee/v1"
)

const lease = 10 * time.Second

var held sync.Map // tokens of leases: what is held is sent again on a new stream

func answer(ctx context.Context, queue pb.QueueServiceClient, work *pb.Work, think time.Duration) {
	ref := &pb.LeaseRef{MessageId: work.Message.Id, LeaseToken: work.Lease.Token}
	defer held.Delete(ref.LeaseToken)
	renewing, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		for renewing.Err() == nil {
			time.Sleep(lease / 2)
			_, _ = queue.RenewLeases(renewing, &pb.RenewLeasesRequest{Leases: []*pb.LeaseRef{ref}})
		}
	}()
	time.Sleep(think) // your bot goes here; if it fails, the message comes again once the lease has ended
	request := &pb.CompleteMessageRequest{Lease: ref, Reply: &pb.Reply{Text: strings.ToUpper(work.Message.Text)}}
	if _, err := queue.CompleteMessage(ctx, request, grpc.WaitForReady(true)); err != nil {
		log.Print(err)
	}
}

func main() {
	args := append(os.Args[1:], []string{"127.0.0.1:50051", "shout", "small", "0"}[len(os.Args)-1:]...)
	think, err := time.ParseDuration(args[3] + "s")
	if err != nil {
		log.Fatal(err)
	}
	alive := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second})
	conn, err := grpc.NewClient(args[0], grpc.WithTransportCredentials(insecure.NewCredentials()), alive)
	if err != nil {
		log.Fatal(err)
	}
	token := "Bearer " + strings.TrimSpace(os.Getenv("REPARTEE_TOKEN"))
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", token)
	queue := pb.NewQueueServiceClient(conn)
	request := &pb.StreamPendingRequest{WorkerId: args[2], SessionId: rand.Text(), Entities: args[1:2], Lease: durationpb.New(lease)}
	for ; ; time.Sleep(mathrand.N(2 * time.Second)) {
		stream, err := queue.StreamPending(ctx, request, grpc.WaitForReady(true))
		for err == nil {
			var event *pb.StreamPendingResponse
			if event, err = stream.Recv(); event.GetWork() != nil {
				if _, known := held.LoadOrStore(event.GetWork().Lease.Token, true); !known {
					go answer(ctx, queue, event.GetWork(), think)
				}
			}
		}
		log.Printf("the stream broke: %v", err)
	}
}
