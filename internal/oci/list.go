package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/towpath/towpath/internal/towpath"
)

// Entry is one entry of a layer, for comparing layers.
type Entry struct {
	Name   string         `json:"name"`
	Dir    bool           `json:"dir,omitempty"`
	Exec   bool           `json:"exec,omitempty"`
	Link   string         `json:"link,omitempty"` // target of a symbolic link
	Size   int64          `json:"size,omitempty"`
	Digest towpath.Digest `json:"digest,omitempty"` // of a file's content
}

// List reads the entries of a layer, in its order, as strictly as [Extract].
func List(ctx context.Context, r io.Reader, limits Limits) ([]Entry, error) {
	in := newReader(ctx, "oci.list", r, limits)
	var entries []Entry
	for {
		e, err := in.next()
		if errors.Is(err, io.EOF) {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		listed := Entry{Name: e.name, Dir: e.kind == tar.TypeDir, Link: e.target}
		if e.kind == tar.TypeReg {
			sum := sha256.New()
			if listed.Size, err = io.Copy(sum, in.tar); err != nil {
				return nil, in.broken(e.name, err)
			}
			listed.Exec, listed.Digest = e.exec, towpath.DigestFrom(sum.Sum(nil))
		}
		entries = append(entries, listed)
	}
}
