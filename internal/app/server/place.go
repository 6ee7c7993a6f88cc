package server

import (
	"cmp"
	"context"
	"os"
	"path/filepath"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/towpath"
)

// place is where the server keeps bytes.
type place struct {
	blobs   blob.Store
	staging registry.Staging // of uploads in progress
	id      string           // the same for all servers that use it
	check   func(context.Context) error
	// others is what a server has to do that is refused: how to be one of those
	// that use the place.
	others string
}

// openPlace opens the folder of blobs, or the bucket that stands for it.
func (s *Server) openPlace(ctx context.Context) (place, error) {
	if s.cfg.Blobs == "" {
		return s.folder()
	}
	return s.bucket(ctx)
}

func (s *Server) folder() (place, error) {
	p := place{others: "servers of one database share one data folder, or else --blobs and its keys; use that of the others, or a database of its own"}
	var err error
	if p.blobs, err = blob.NewDisk(blob.DiskConfig{Dir: filepath.Join(s.cfg.Data, "blobs")}); err != nil {
		return place{}, err
	}
	if p.staging, err = blob.NewStaging(blob.DiskConfig{Dir: filepath.Join(s.cfg.Data, "uploads")}); err != nil {
		return place{}, err
	}
	path := filepath.Join(s.cfg.Data, "blobs.id")
	if p.id, err = placeID(path); err != nil {
		return place{}, err
	}
	p.check = func(context.Context) error {
		b, err := os.ReadFile(path)
		if err == nil && placeText(b) == p.id {
			return nil
		}
		return towpath.E(towpath.KindUnavailable, "server.blobs", "the data folder can't be read, or is another one").
			WithHint("look whether its file system is mounted").WithCause(err)
	}
	return p, nil
}

// bucket asks the object store whether it can be used: a server that can't read
// blobs does not start.
func (s *Server) bucket(ctx context.Context) (place, error) {
	cfg, err := blob.ParseS3URL(s.cfg.Blobs)
	if err != nil {
		return place{}, err
	}
	cfg.Region = cmp.Or(cfg.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	cfg.Spool = filepath.Join(s.cfg.Data, "spool")
	if err := os.MkdirAll(cfg.Spool, 0o700); err != nil {
		return place{}, towpath.E(towpath.KindUnavailable, "server.start", "the folder of what is on its way to the object store can't be made").
			On(cfg.Spool).WithHint("let the user that runs towpath write to --data").WithCause(err)
	}
	store, err := blob.NewS3(ctx, cfg)
	if err != nil {
		return place{}, err
	}
	id, err := store.Place(ctx)
	if err != nil {
		return place{}, err
	}
	return place{
		blobs: store, staging: blob.NewS3Staging(store), id: id,
		check:  func(ctx context.Context) error { return store.Check(ctx, id) },
		others: "servers of one database have the same --blobs, and ledger.key and attestation.key in --data: copy these from the others, or use a database of its own",
	}, nil
}
