package blob

import (
	"context"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/towpath"
)

// Walk lists the blobs. The service lists keys in their order; the mark of a
// blob comes right after it.
func (s *S3) Walk(ctx context.Context, visit func(Info) error) error {
	for _, algorithm := range []string{towpath.SHA256, towpath.SHA512} {
		var last Info // not visited yet: its mark may follow
		flush := func() error {
			if last.Digest == "" {
				return nil
			}
			i := last
			last = Info{}
			return visit(i)
		}
		err := s.list(ctx, "blob.walk", algorithm+"/", func(name string, o minio.ObjectInfo) error {
			marked, isMark := strings.CutSuffix(name, usedSuffix)
			if isMark && last.Digest != "" && digestOf(marked) == last.Digest {
				if o.LastModified.After(last.Written) {
					last.Written = o.LastModified
				}
				return nil
			}
			if err := flush(); err != nil {
				return err
			}
			if d := digestOf(name); d != "" {
				last = Info{Digest: d, Size: o.Size, Written: o.LastModified}
			}
			return nil
		})
		if err == nil {
			err = flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// list calls visit for every object with a prefix, in the order of names, until
// it returns an error, which list returns. A list that breaks off goes on after
// the last name.
func (s *S3) list(ctx context.Context, op, prefix string, visit func(name string, o minio.ObjectInfo) error) error {
	o := minio.ListObjectsOptions{Prefix: s.cfg.key(prefix), Recursive: true}
	var stopped error
	for {
		began := o.StartAfter
		err := s.retry(ctx, func() error {
			for found := range s.client.ListObjectsIter(ctx, s.cfg.Bucket, o) {
				if found.Err != nil {
					return found.Err
				}
				if stopped = ctx.Err(); stopped == nil {
					stopped = visit(strings.TrimPrefix(strings.TrimPrefix(found.Key, s.cfg.Prefix), "/"), found)
				}
				if stopped != nil {
					return nil
				}
				o.StartAfter = found.Key
			}
			return ctx.Err()
		})
		switch {
		case stopped != nil:
			return stopped
		case err == nil:
			return nil
		case o.StartAfter == began || !s.passing(ctx, err):
			return s.fail(op, "the store can't be listed", err)
		}
	}
}

// Sweep aborts the uploads in parts that began before a time and did not end,
// and says how many those were. There is nothing else to sweep: what is on its
// way has no name. A service that lists no uploads (MinIO) needs a rule of its
// own for them (AbortIncompleteMultipartUpload). Without a prefix the bucket may have
// uploads of others: only what has our names is aborted.
func (s *S3) Sweep(ctx context.Context, before time.Time) (int, error) {
	n := 0
	for _, folder := range []string{towpath.SHA256 + "/", towpath.SHA512 + "/", stagedFolder, corruptFolder} {
		aborted, err := s.sweep(ctx, s.cfg.key(folder), before)
		n += aborted
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// sweep is Sweep of the keys with a prefix.
func (s *S3) sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	const op = "blob.sweep"
	n, key, id := 0, "", ""
	for {
		var page minio.ListMultipartUploadsResult
		err := s.retry(ctx, func() (err error) {
			page, err = s.client.ListMultipartUploads(ctx, s.cfg.Bucket, prefix, key, id, "", 1000)
			return err
		})
		if err != nil {
			return n, s.fail(op, "uploads that did not end can't be listed", err)
		}
		for _, u := range page.Uploads {
			if !u.Initiated.Before(before) {
				continue
			}
			if err := s.abort(ctx, u.Key, u.UploadID); err != nil {
				return n, s.fail(op, "an upload that did not end can't be removed", err)
			}
			n++
		}
		if !page.IsTruncated || page.NextKeyMarker == "" {
			return n, nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
}
