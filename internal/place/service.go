package place

import (
	"context"
	"io"
	"sync"
	"time"

	digest "github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/towpath"
)

// Store opens transactions.
type Store interface {
	Update(ctx context.Context, f func(context.Context, Tx) error) error
	View(ctx context.Context, f func(context.Context, Tx) error) error
}

// Tx is what places read and write in one transaction.
type Tx interface {
	Record(ctx context.Context, ev towpath.Event) error
	// WakeReplications has the places of a project looked at: there may be
	// something to copy.
	WakeReplications(ctx context.Context, p towpath.ProjectName, now time.Time) error

	AllReplicationRules(ctx context.Context) ([]towpath.ReplicationRule, error)
	ReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) (towpath.ReplicationRule, error)
	SaveReplicationRule(ctx context.Context, r towpath.ReplicationRule) error
	DeleteReplicationRule(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) error
	Replications(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) ([]towpath.Replication, error)
	SaveReplication(ctx context.Context, r towpath.Replication) error

	// PlacesOf are the places where a layer was compared, PlacedUnder the layers
	// of a place by digest, at most limit after one.
	PlacesOf(ctx context.Context, d towpath.Digest) ([]towpath.Placed, error)
	PlacedUnder(ctx context.Context, p towpath.ProjectName, rule towpath.ReplicationName, after towpath.Digest, limit int) ([]towpath.Placed, error)
	// Covers are the places of projects in whose own repositories some layers
	// are: one for each record that a place stands for.
	Covers(ctx context.Context, digests []towpath.Digest) ([]towpath.Placed, error)
	UnplaceLayer(ctx context.Context, l towpath.Placed) error
	// Holders is how many records say that the store has a blob.
	Holders(ctx context.Context, digests []towpath.Digest) (map[towpath.Digest]int, error)
}

// Registry is where layers are. What it yields need not be right.
type Registry interface {
	Blob(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error)
	HasBlob(ctx context.Context, d v1.Descriptor) (bool, error)
}

// Releases says which layers are needed now.
type Releases interface {
	// InUse are the layers of what runs in any environment of a project, is on
	// its way there, or would be gone back to. It stays so until the
	// transaction ends.
	InUse(ctx context.Context, tx Tx, p towpath.ProjectName) (map[towpath.Digest]bool, error)
}

// Collector keeps those apart who delete blobs and those who rely on them.
type Collector interface {
	// Hold waits until nothing is being deleted, and keeps it so until release.
	// What was found to be there meanwhile relies on check: it fails when that
	// was lost.
	Hold(ctx context.Context) (check func(context.Context) error, release func(), err error)
	// Alone waits until nobody holds it, and keeps everybody out until release.
	// What is done relies on check: it fails when the right was lost.
	Alone(ctx context.Context) (check func(context.Context) error, release func(), err error)
}

// Config says how the service works; zero values are replaced by defaults.
type Config struct {
	Now func() time.Time
	// Connect makes the client of a place; it connects to nothing.
	Connect func(r towpath.ReplicationRule) (Registry, error)
	// Stall is how long a place may send nothing while it is read; default 30 s.
	Stall time.Duration
	// Longest is how long a layer may take to come, with all attempts and with
	// waiting for others that fetch it, however steadily its bytes trickle: nobody
	// waits for a place for ever. Default 1 h.
	Longest time.Duration
	// Attempts is how often a place is asked for a layer; default 3, with
	// pauses of Backoff.
	Attempts int
	Backoff  reconcile.Backoff
	// Fresh is how long a layer stays after it came, whatever a rule says;
	// default 10 min.
	Fresh time.Duration
}

// Service is the store with what is elsewhere, and the care for that.
type Service struct {
	// Store is the local one: what is written, listed and deleted is there.
	blob.Store

	cfg     Config
	records Store

	mu       sync.Mutex
	turns    map[towpath.Digest]*turn // one fetch of a layer at a time
	registry map[string]Registry      // by the address and how it is spoken to
}

var _ blob.Store = (*Service)(nil)

// New makes the service over the local store.
func New(cfg Config, records Store, local blob.Store) *Service {
	if cfg.Stall <= 0 {
		cfg.Stall = 30 * time.Second
	}
	if cfg.Longest <= 0 {
		cfg.Longest = time.Hour
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 3
	}
	if cfg.Fresh <= 0 {
		cfg.Fresh = 10 * time.Minute
	}
	return &Service{Store: local, cfg: cfg, records: records, turns: map[towpath.Digest]*turn{}, registry: map[string]Registry{}}
}

// connect is the client of a place, which is kept with its connections.
func (s *Service) connect(r towpath.ReplicationRule) (Registry, error) {
	key := r.To
	if r.PlainHTTP {
		key = "http://" + key
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.registry[key]; have != nil {
		return have, nil
	}
	made, err := s.cfg.Connect(r)
	if err == nil {
		s.registry[key] = made
	}
	return made, err
}

// places are the rules under which a layer was compared elsewhere.
func (s *Service) places(ctx context.Context, d towpath.Digest) (rules []towpath.ReplicationRule, size int64, err error) {
	err = s.records.View(ctx, func(ctx context.Context, tx Tx) error {
		rules = nil
		all, err := tx.PlacesOf(ctx, d)
		if err != nil {
			return err
		}
		for _, l := range all {
			rule, err := tx.ReplicationRule(ctx, l.Project, l.Rule)
			if err != nil {
				return err
			}
			rules, size = append(rules, rule), l.Size
		}
		return nil
	})
	return rules, size, err
}

func descriptor(d towpath.Digest, size int64) v1.Descriptor {
	return v1.Descriptor{MediaType: "application/octet-stream", Digest: digest.Digest(d), Size: size}
}

func missing(err error) bool { return towpath.KindOf(err) == towpath.KindNotFound }

// title names a place for people.
func title(r towpath.ReplicationRule) string {
	return string(r.Name) + " (" + r.To + ")"
}
