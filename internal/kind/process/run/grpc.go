package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// What is asked and answered by grpc.health.v1.Health/Check, as frames of gRPC
// over HTTP/2: a byte for compression, four for the length, the message. See
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
const (
	healthCheck   = "/grpc.health.v1.Health/Check"
	aboutAll      = "\x00\x00\x00\x00\x00"         // of no service, which is the server as a whole
	answerServing = "\x00\x00\x00\x00\x02\x08\x01" // status, its first field, is SERVING
)

// serving asks an instance by gRPC's health checking protocol: nil when it
// answers that the server as a whole serves.
func (r *Runner) serving(ctx context.Context, address string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+healthCheck, bytes.NewReader([]byte(aboutAll)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := r.probes[route.H2C].Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	status := orElse(resp.Trailer.Get("Grpc-Status"), resp.Header.Get("Grpc-Status")) // a refusal has no trailers of its own
	switch {
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("gRPC's health check answered %d", resp.StatusCode)
	case status != "0":
		return fmt.Errorf("gRPC's health check ended with the status %q", status)
	case string(answer) != answerServing:
		return fmt.Errorf("gRPC's health check does not say that it serves")
	}
	return nil
}
