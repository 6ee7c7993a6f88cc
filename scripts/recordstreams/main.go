// Command recordstreams records what Towpath's router counts of two revisions of
// the same program, under a load that comes in bursts and tries again: real HTTP
// services, each a process of its own, that fail for real reasons. The judge of
// rollouts is tested with what it writes; internal/analysis/testdata/streams
// says how the recordings there were made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/router"
)

// recording says what is recorded.
type recording struct {
	kind     string
	out      string
	rate     float64 // requests a second that clients begin, on average
	before   time.Duration
	length   time.Duration // after that
	oldest   int           // instances of the old revision; the new one has one
	postgres string        // URL of an empty database
	dir      string
}

// The names in the route.
const (
	routeName   = "service"
	oldRevision = "rev_old"
	newRevision = "rev_new"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "recordstreams:", err)
		os.Exit(1)
	}
}

// run is the recorder, or one of the processes that it starts.
func run(ctx context.Context, args []string) error {
	if len(args) > 1 {
		switch args[0] {
		case "router":
			return router.Main(ctx, router.Config{Dir: args[1], Now: time.Now})
		case "serve":
			return serve(ctx, args[1], args[2])
		}
	}
	var r recording
	set := flag.NewFlagSet("recordstreams", flag.ContinueOnError)
	set.StringVar(&r.kind, "kind", "", "orders, accounts, thumbnails or gateway")
	set.StringVar(&r.out, "out", "", "the file to write")
	set.Float64Var(&r.rate, "rate", 100, "requests a second that clients begin, on average")
	set.DurationVar(&r.before, "before", time.Minute, "how long the old revision runs alone first")
	set.DurationVar(&r.length, "for", 20*time.Minute, "how long both run then")
	set.IntVar(&r.oldest, "old", 1, "instances of the old revision; the new one has one, and traffic goes to all alike")
	set.StringVar(&r.postgres, "postgres", "", "URL of an empty database, for accounts")
	if err := set.Parse(args); err != nil {
		return err
	}
	if r.out == "" || services[r.kind] == nil {
		return errors.New("-out and a known -kind are needed")
	}
	return r.record(ctx)
}

func (r recording) record(ctx context.Context) (err error) {
	if r.dir, err = os.MkdirTemp("", "recordstreams"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(r.dir) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	world, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	var old, fresh []route.Instance
	for i := range r.oldest + 1 {
		address, err := start(ctx, r.kind, world)
		if err != nil {
			return err
		}
		instance := route.Instance{ID: fmt.Sprint("i", i), Address: address}
		if i < r.oldest {
			old = append(old, instance)
		} else {
			fresh = append(fresh, instance)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	client, err := router.NewClient(router.ClientConfig{Dir: filepath.Join(r.dir, "router"), Executable: exe, Args: []string{"router"}}, slog.Default())
	if err != nil {
		return err
	}
	traffic := route.Traffic{Revision: oldRevision, Instances: old, Weight: len(old)}
	st, err := client.Apply(ctx, route.Change{Route: routeName, Fence: 1, Operation: "op_1", Listen: []string{"127.0.0.1:0"}, Traffic: &traffic})
	if err != nil {
		return err
	}
	defer stopRouter(client)
	at, _ := st.Find(routeName)
	go newLoad("http://"+at.Listeners[0].Address, r.rate).run(ctx)

	file, err := os.Create(r.out)
	if err != nil {
		return err
	}
	w := newWriter(file, client)
	err = w.write(ctx, r.before)
	if err == nil {
		traffic.Others = []route.Backend{{Revision: newRevision, Instances: fresh, Weight: 1}}
		_, err = client.Apply(ctx, route.Change{Route: routeName, Fence: 2, Operation: "op_2", Traffic: &traffic})
	}
	if err == nil {
		err = w.write(ctx, r.length)
	}
	return errors.Join(err, file.Close())
}

// stopRouter ends the router, which would outlive its recorder.
func stopRouter(c *router.Client) {
	st, err := c.Status(context.Background())
	if err == nil {
		err = syscall.Kill(st.PID, syscall.SIGTERM)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "recordstreams: the router goes on:", err)
	}
}

// pause waits for about a time, exponentially distributed, and reports whether
// the recording goes on.
func pause(ctx context.Context, mean time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Duration(rand.ExpFloat64() * float64(mean))):
		return true
	}
}
