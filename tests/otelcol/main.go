// The receiving half of OpenTelemetry's collector, as it is: its OTLP receiver, over gRPC and HTTP. What it has made of what came is
// written to stdout, one JSON object a line, by the collector's own encoding. The first line names its addresses.
//
// The other half, pipelines by configuration and the collector's own telemetry, is left out: no test needs it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

// Lines of several calls do not mix.
var writing sync.Mutex

func write(line []byte, err error) error {
	if err != nil {
		return err
	}
	writing.Lock()
	defer writing.Unlock()
	_, err = fmt.Printf("%s\n", line)
	return err
}

// A free port of the loopback. It is closed before the receiver takes it, for that wants an address.
func free() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func main() {
	factory := otlpreceiver.NewFactory()
	grpc, http := free(), free()
	config := factory.CreateDefaultConfig()
	protocols := map[string]any{"grpc": map[string]any{"endpoint": grpc}, "http": map[string]any{"endpoint": http}}
	if err := confmap.NewFromStringMap(map[string]any{"protocols": protocols}).Unmarshal(config); err != nil {
		log.Fatal(err)
	}
	settings := receiver.Settings{
		ID: component.NewID(factory.Type()),
		TelemetrySettings: component.TelemetrySettings{
			Logger:         zap.NewNop(),
			TracerProvider: tracenoop.NewTracerProvider(),
			MeterProvider:  metricnoop.NewMeterProvider(),
		},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	traces, err := consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error {
		return write((&ptrace.JSONMarshaler{}).MarshalTraces(traces))
	})
	if err != nil {
		log.Fatal(err)
	}
	metrics, err := consumer.NewMetrics(func(_ context.Context, metrics pmetric.Metrics) error {
		return write((&pmetric.JSONMarshaler{}).MarshalMetrics(metrics))
	})
	if err != nil {
		log.Fatal(err)
	}
	ofTraces, err := factory.CreateTraces(ctx, settings, config, traces)
	if err != nil {
		log.Fatal(err)
	}
	ofMetrics, err := factory.CreateMetrics(ctx, settings, config, metrics)
	if err != nil {
		log.Fatal(err)
	}
	// Both are one server.
	for _, part := range []component.Component{ofTraces, ofMetrics} {
		if err := part.Start(ctx, host{}); err != nil {
			log.Fatal(err)
		}
	}
	if err := write(json.Marshal(map[string]string{"grpc": grpc, "http": http})); err != nil {
		log.Fatal(err)
	}
	<-ctx.Done()
	for _, part := range []component.Component{ofTraces, ofMetrics} {
		if err := part.Shutdown(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}
