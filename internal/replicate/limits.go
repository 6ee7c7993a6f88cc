package replicate

import "github.com/towpath/towpath/internal/towpath"

// Limits bound what is accepted of a source. Zero values are replaced by those
// of [DefaultLimits].
type Limits struct {
	Manifests     int   // in one graph
	ManifestBytes int64 // of one manifest, and of a layout's index
	Graph         int64 // bytes of all manifests of one graph
	List          int64 // bytes of the descriptors of what is about one thing, with annotations, which are not kept
	Descriptors   int   // that one manifest names
	Blob          int64 // bytes of one blob
	Files         int   // of a layout
}

// DefaultLimits are those of our registry, where it has them.
func DefaultLimits() Limits {
	return Limits{Manifests: 10_000, ManifestBytes: 8 << 20, Graph: 512 << 20, List: 1 << 30, Descriptors: 4096, Blob: 16 << 30, Files: 200_000}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Manifests <= 0 {
		l.Manifests = d.Manifests
	}
	if l.ManifestBytes <= 0 {
		l.ManifestBytes = d.ManifestBytes
	}
	if l.Graph <= 0 {
		l.Graph = d.Graph
	}
	if l.List <= 0 {
		l.List = d.List
	}
	if l.Descriptors <= 0 {
		l.Descriptors = d.Descriptors
	}
	if l.Blob <= 0 {
		l.Blob = d.Blob
	}
	if l.Files <= 0 {
		l.Files = d.Files
	}
	return l
}

// shown is a name from outside, short enough for a message.
func shown(name string) string {
	const most = 160
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

func exceeded(op, format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindExhausted, op, format, args...).
		WithHint("this is more than any release has: look at what is there")
}
