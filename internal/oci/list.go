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
	var entries []Entry
	err := Walk(ctx, r, limits, func(e Entry, content io.Reader) (err error) {
		if content != nil {
			sum := sha256.New()
			if e.Size, err = io.Copy(sum, content); err != nil {
				return err
			}
			e.Digest = towpath.DigestFrom(sum.Sum(nil))
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// Walk visits the entries of a layer, in its order, as strictly as [Extract].
// The content of a file, which need not be read, is nil for anything else; the
// entry's digest is not known yet. An error of visit ends the walk; one that
// came from the content is explained.
func Walk(ctx context.Context, r io.Reader, limits Limits, visit func(e Entry, content io.Reader) error) error {
	in := newReader(ctx, "oci.list", r, limits)
	for {
		e, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		listed := Entry{Name: e.name, Dir: e.kind == tar.TypeDir, Link: e.target}
		if e.kind != tar.TypeReg {
			if err := visit(listed, nil); err != nil {
				return err
			}
			continue
		}
		listed.Exec, listed.Size = e.exec, e.size
		content := &contentOf{r: in.tar}
		if err := visit(listed, content); content.err != nil {
			return in.broken(e.name, err)
		} else if err != nil {
			return err
		}
	}
}

// contentOf remembers that reading failed, so that what the archive says is not
// taken for what a visitor says.
type contentOf struct {
	r   io.Reader
	err error
}

func (c *contentOf) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}
