package build

import (
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/secretscan"
	"github.com/towpath/towpath/internal/towpath"
)

// Config is the configuration of a [Builder].
type Config struct {
	// Parse reads a towpath.yaml.
	Parse    func(src []byte) (*towpath.ProjectSpec, error)
	Builders []kind.Builder
	// CacheDir remembers the layers of components that were built before;
	// empty: nothing is remembered.
	CacheDir string
	// WorkDir is where builds get their folders; empty is the system's. It must
	// not be inside a repository.
	WorkDir string
	// Environ is the builder's own environment, of which builds see what the
	// package's allow list and PassEnv name. See [os.Environ].
	Environ []string
	PassEnv []string
	// BuilderID says in the provenance who built: a URI.
	BuilderID string
	Parallel  int // components at once; 0: as many as there are processors
	Limits    Limits
	Now       func() time.Time // called by several goroutines
	Logger    *slog.Logger
}

// Limits bound a build. Zero values are replaced by those of [DefaultLimits].
type Limits struct {
	Command     time.Duration // of one build command
	ProjectFile int64         // bytes of towpath.yaml and of towpath.lock
	Layer       oci.Limits
}

// DefaultLimits are generous for releases of programs.
func DefaultLimits() Limits {
	return Limits{Command: 30 * time.Minute, ProjectFile: 1 << 20, Layer: oci.DefaultLimits()}
}

// DefaultBuilderID names a Towpath builder that its operator gave no name.
const DefaultBuilderID = "https://towpath.dev/builder/v1"

// Builder turns commits into releases. It is safe for concurrent use.
type Builder struct {
	cfg    Config
	source Source
	blobs  blob.Store
	kinds  map[towpath.ComponentKind]kind.Builder
	cache  *cache

	scanner *secretscan.Scanner
}

// New makes a builder of one repository that stores layers in blobs.
func New(cfg Config, source Source, blobs blob.Store) (*Builder, error) {
	const op = "build.new"
	if cfg.Parse == nil || cfg.Now == nil || cfg.Logger == nil || source == nil || blobs == nil {
		return nil, towpath.E(towpath.KindInternal, op, "the builder lacks a parser, a clock, a logger, a source or a blob store")
	}
	if cfg.WorkDir == "" {
		cfg.WorkDir = os.TempDir()
	}
	if cfg.BuilderID == "" {
		cfg.BuilderID = DefaultBuilderID
	}
	if u, err := url.Parse(cfg.BuilderID); err != nil || u.Scheme == "" {
		return nil, towpath.E(towpath.KindInvalid, op, "the builder's ID %q is no URI", cfg.BuilderID).
			WithHint("name who builds by an absolute URI, such as https://ci.example.com/towpath")
	}
	if cfg.Parallel <= 0 {
		cfg.Parallel = runtime.NumCPU()
	}
	d := DefaultLimits()
	if cfg.Limits.Command <= 0 {
		cfg.Limits.Command = d.Command
	}
	if cfg.Limits.ProjectFile <= 0 {
		cfg.Limits.ProjectFile = d.ProjectFile
	}
	if cfg.Limits.Layer.Bytes <= 0 {
		cfg.Limits.Layer.Bytes = d.Layer.Bytes
	}
	b := &Builder{cfg: cfg, source: source, blobs: blobs, scanner: secretscan.New(), kinds: map[towpath.ComponentKind]kind.Builder{}}
	for _, k := range cfg.Builders {
		b.kinds[k.Kind()] = k
	}
	if cfg.CacheDir != "" {
		b.cache = &cache{dir: cfg.CacheDir, blobs: blobs}
	}
	return b, nil
}
