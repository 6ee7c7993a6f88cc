package release

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/towpath/towpath/internal/oci"
	"github.com/towpath/towpath/internal/towpath"
)

// maxCompared bounds how many bytes of layers are read to say how the files of
// two releases differ.
const maxCompared = 1 << 30

// elsewhere is a store some of whose layers are at another place.
type elsewhere interface {
	Away(ctx context.Context, d towpath.Digest) (size int64, away bool, err error)
}

// files says which files of a component differ between two releases. Layers that
// are not here, or are larger than what is left to read, are not read for that.
func (s *Service) files(ctx context.Context, a, b *towpath.ReleaseContent, name towpath.ComponentName, left *int64) (*FilesDiff, error) {
	x, _ := a.Component(name)
	y, _ := b.Component(name)
	if x.Layer == y.Layer {
		return nil, nil //nolint:nilnil // none differ
	}
	unread := func(why string) (*FilesDiff, error) {
		return &FilesDiff{Unread: "the files are not compared: " + why}, nil
	}
	if x.Size > *left || y.Size > *left-x.Size {
		return unread(fmt.Sprintf("the layers of both releases are larger than %d MiB", maxCompared>>20))
	}
	*left -= x.Size + y.Size
	var lists [2]map[string]oci.Entry
	for i, d := range []towpath.Digest{x.Layer, y.Layer} {
		here, err := s.here(ctx, d)
		if err != nil {
			return nil, err
		}
		if !here {
			return unread("a layer is not on this server")
		}
		if lists[i], err = s.entries(ctx, d); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			why, _ := towpath.PublicMessage(err) // what else differs is worth an answer
			return unread(why)
		}
	}
	return compareFiles(lists[0], lists[1]), nil
}

// here reports whether a layer can be read without asking anybody else.
func (s *Service) here(ctx context.Context, d towpath.Digest) (bool, error) {
	if at, ok := s.blobs.(elsewhere); ok {
		if _, away, err := at.Away(ctx, d); away || err != nil {
			return false, err
		}
	}
	_, err := s.blobs.Stat(ctx, d)
	if towpath.KindOf(err) == towpath.KindNotFound {
		return false, nil // it was given up
	}
	return err == nil, err
}

// entries lists what a layer has, by name; folders are not of interest.
func (s *Service) entries(ctx context.Context, d towpath.Digest) (map[string]oci.Entry, error) {
	r, _, err := s.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	all, err := oci.List(ctx, r, oci.Limits{})
	out := make(map[string]oci.Entry, len(all))
	for _, e := range all {
		if !e.Dir {
			out[e.Name] = e
		}
	}
	return out, err
}

// compareFiles names what differs, in the order of the names.
func compareFiles(before, after map[string]oci.Entry) *FilesDiff {
	out := &FilesDiff{}
	say := func(list *[]string, name string) {
		if len(*list) == MaxFiles {
			out.More++
			return
		}
		*list = append(*list, name)
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch was, had := before[name]; {
		case !had:
			say(&out.Added, name)
		case was != after[name]:
			say(&out.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[name]; !has {
			say(&out.Removed, name)
		}
	}
	return out
}
