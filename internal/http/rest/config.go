package rest

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/towpath/towpath/internal/towpath"
)

// Config says how the API works. Version and Now are required.
type Config struct {
	Version string
	Now     func() time.Time
	Log     *slog.Logger

	MaxBody    int64 // bytes of an ordinary request; default 1 MiB
	MaxPublish int64 // bytes of a request that publishes a release; default 16 MiB
	MaxBlob    int64 // bytes of an uploaded blob; default 2 GiB

	Timeout         time.Duration // of an ordinary request; default 30 s
	TransferTimeout time.Duration // of an upload, export or verification; default 30 min

	Heartbeat  time.Duration // between comments on an idle watch; default 15 s
	Poll       time.Duration // between looks at the ledger when nothing wakes a watch; default 2 s
	WatchFor   time.Duration // a watch ends after it, so that its token is checked again; default 15 min
	MaxWatches int           // at once; default 256

	// PublicMetrics serves /metrics without a token.
	PublicMetrics bool
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	defaults := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	defaults(&c.MaxBody, 1<<20)
	defaults(&c.MaxPublish, 16<<20)
	defaults(&c.MaxBlob, 2<<30)
	durations := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	durations(&c.Timeout, 30*time.Second)
	durations(&c.TransferTimeout, 30*time.Minute)
	durations(&c.Heartbeat, 15*time.Second)
	durations(&c.Poll, 2*time.Second)
	durations(&c.WatchFor, 15*time.Minute)
	if c.MaxWatches <= 0 {
		c.MaxWatches = 256
	}
	return c
}

// Deps are what the API stands on. All but Changed, Checks and Mounts are
// required.
type Deps struct {
	Services    Services
	Idempotency IdempotencyStore
	Metrics     *prometheus.Registry
	// Changed is closed when this process has more entries of the ledger.
	// Watches poll beside it: another server may have written.
	Changed func() <-chan struct{}
	Checks  []Check
	Mounts  []Mount
}

// Mount is a handler beside the API on the same listener, such as the agents'
// protocol: it shares request IDs, authentication, limits on headers, metrics
// and the rule that a route without a policy does not start. Its handler gets
// the actor by [Actor]. It is exempt from idempotency keys and time limits,
// and sets its own.
type Mount struct {
	Pattern string // as of [http.ServeMux]
	Policy  Policy
	Handler http.Handler
}

// Check is one thing that a server needs to work.
type Check struct {
	Name string
	// Critical: nothing works without it. The failure of any other check
	// degrades the server, which goes on to answer what it can.
	Critical bool
	// Run says what is wrong; of a [*towpath.Error] message and hint are shown.
	Run func(ctx context.Context) error
}

func validate(c Config, d Deps) error {
	s := d.Services
	switch {
	case c.Version == "" || c.Now == nil:
		return towpath.E(towpath.KindInternal, "rest.new", "the API needs a version and a clock")
	case s.Projects == nil || s.Releases == nil || s.Promotions == nil || s.Deploys == nil ||
		s.Inventory == nil || s.Accounts == nil || s.Audit == nil || s.Registry == nil || s.Replication == nil || s.Mirror == nil:
		return towpath.E(towpath.KindInternal, "rest.new", "the API needs every service")
	case d.Idempotency == nil || d.Metrics == nil:
		return towpath.E(towpath.KindInternal, "rest.new", "the API needs a store of idempotency keys and a registry of metrics")
	}
	return nil
}
