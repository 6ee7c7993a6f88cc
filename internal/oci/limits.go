package oci

import (
	"github.com/towpath/towpath/internal/towpath"
)

// Limits bound what [Extract] and [List] accept of a layer. Zero values are
// replaced by those of [DefaultLimits]. There is no ratio of unpacked to packed
// bytes to limit: layers are not compressed and sparse files are refused, so it
// is never above one.
type Limits struct {
	Bytes   int64 // of the layer, and so of its files
	Entries int   // files, folders and links
	Depth   int   // parts of a name
	NameLen int   // bytes of a name or of a link's target
}

// DefaultLimits are generous for releases of programs.
func DefaultLimits() Limits {
	return Limits{Bytes: 8 << 30, Entries: 500_000, Depth: 64, NameLen: 1024}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Entries <= 0 {
		l.Entries = d.Entries
	}
	if l.Depth <= 0 {
		l.Depth = d.Depth
	}
	if l.NameLen <= 0 {
		l.NameLen = d.NameLen
	}
	return l
}

// shown is a name from outside, short enough for a message.
func shown(name string) string {
	const most = 120
	if len(name) > most {
		return name[:most] + "…"
	}
	return name
}

func refused(op, name, format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindInvalid, op, format, args...).On(shown(name)).
		WithHint("the layer was not made by Towpath or was tampered with: build and publish the release again")
}

func exceeded(op, name, format string, args ...any) *towpath.Error {
	return towpath.E(towpath.KindExhausted, op, format, args...).On(shown(name)).
		WithHint("make the component smaller, or raise the limits of layers")
}
