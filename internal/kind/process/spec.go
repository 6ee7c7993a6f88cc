// Package process is what both halves of the process kind share: the rendered
// spec of a component that runs as operating system processes. Its build half
// renders a spec, its run half obeys it.
package process

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/towpath/towpath/internal/kind/process/route"
)

// Spec is a rendered process component. Durations are nanoseconds in JSON.
type Spec struct {
	Command   []string         `json:"command"`            // relative paths are inside the revision's files
	Env       map[string]Value `json:"env,omitempty"`      //
	WorkDir   string           `json:"workDir,omitempty"`  // inside the revision's files
	Listen    string           `json:"listen"`             // address of the router: "127.0.0.1:8080"; port 0 is chosen once and kept
	Preview   string           `json:"preview,omitempty"`  // address of the router for a revision without traffic
	Protocol  route.Protocol   `json:"protocol,omitempty"` // what instances speak
	Instances int              `json:"instances"`
	Memory    int64            `json:"memory,omitempty"` // bytes that one instance needs; 0: as much as the ones that run take
	Health    Health           `json:"health"`
	// Answer is how long an instance may take to begin its answer; 0: no limit, as
	// in releases from before there was one.
	Answer time.Duration `json:"answer,omitempty"`
	// Proxies are in front of the router and believed about whom they ask for.
	Proxies   []netip.Prefix `json:"trustedProxies,omitempty"`
	StopGrace time.Duration  `json:"stopGrace"` // SIGTERM, then SIGKILL after this
	// Drain is how long requests may finish before that, in an instance that gets
	// no new ones; 0: as [Spec.Draining] says.
	Drain   time.Duration `json:"drain,omitempty"`
	Verify  Verify        `json:"verify,omitzero"`
	Logs    Logs          `json:"logs"`
	Metrics *Metrics      `json:"metrics,omitempty"` // nil: instances have none
	// Ignore are the patterns of files that its own programs write into its
	// folder; see [towpath.Ignored]. They are part of what is approved and of the
	// revision's name, so nobody else can widen them.
	Ignore []string `json:"ignore,omitempty"`
}

// Draining is how long requests may finish in an instance that gets no new ones:
// where it is not said, as long as they may take to begin their answer, or a
// minute where that has no end, and never less than the stop grace.
func (s Spec) Draining() time.Duration {
	if s.Drain > 0 {
		return s.Drain
	}
	return max(s.StopGrace, cmp.Or(s.Answer, time.Minute))
}

// Value is the value of an environment variable: a literal, or an output of
// another component in the same environment that the agent fills in.
type Value struct {
	Literal   string `json:"literal,omitempty"`
	Component string `json:"component,omitempty"` // "api"
	Output    string `json:"output,omitempty"`    // "address"
}

// Health is how an instance shows that it works: GET path answers 2xx or 3xx,
// or gRPC's own health check says that it serves.
type Health struct {
	Path     string        `json:"path"`
	GRPC     bool          `json:"grpc,omitempty"`
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`  // of one request
	Deadline time.Duration `json:"deadline"` // to become healthy after its start
}

// Verify is the verification jobs of a component.
type Verify struct {
	Before  []Job `json:"before,omitempty"`  // against the new instances, without traffic
	Preview []Job `json:"preview,omitempty"` // after those, through the router at the address of the preview
	Step    []Job `json:"step,omitempty"`    // against the new instances, at each step of a canary or rolling update, and with copies
	After   []Job `json:"after,omitempty"`   // through the router
}

// Job is one verification job: a command of the release, an HTTP check, or
// recorded traffic that is sent again.
type Job struct {
	Name    string        `json:"name"`
	Command []string      `json:"command,omitempty"` // gets TOWPATH_ADDRESS and TOWPATH_URL
	HTTP    *HTTPCheck    `json:"http,omitempty"`
	Replay  *Replay       `json:"replay,omitempty"`
	Timeout time.Duration `json:"timeout"`
}

// HTTPCheck is a request and what its answer must be.
type HTTPCheck struct {
	Method   string `json:"method,omitempty"` // GET
	Path     string `json:"path"`
	Status   int    `json:"status,omitempty"`   // 200
	Contains string `json:"contains,omitempty"` // in the body's first MiB
}

// Replay sends recorded requests again and wants the answers to be as they were:
// of the recorded status, or below 500 where none was recorded.
type Replay struct {
	Requests string        `json:"requests"`         // an HTTP archive (HAR 1.2) among the revision's files
	Methods  []string      `json:"methods"`          // of the requests that are sent
	Rate     int           `json:"rate"`             // requests a second
	Within   time.Duration `json:"within,omitempty"` // an answer that takes longer is wrong; 0: ten seconds
	Allow    float64       `json:"allow,omitempty"`  // percent of the answers that may be wrong
}

// Metrics is where instances show their metrics, in Prometheus' text format.
type Metrics struct {
	Path string `json:"path"`
}

// Logs bounds the log files of an instance.
type Logs struct {
	MaxBytes int64 `json:"maxBytes"` // of one file, before it is rotated
	Keep     int   `json:"keep"`     // rotated files
}
