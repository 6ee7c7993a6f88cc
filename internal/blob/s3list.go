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
// it returns an error, which list returns.
func (s *S3) list(ctx context.Context, op, prefix string, visit func(name string, o minio.ObjectInfo) error) error {
	prefix = s.cfg.key(prefix)
	for o := range s.client.ListObjectsIter(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return s.fail(op, "the store can't be listed", o.Err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(strings.TrimPrefix(strings.TrimPrefix(o.Key, s.cfg.Prefix), "/"), o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Sweep aborts the uploads in parts that began before a time and did not end,
// and says how many those were. There is nothing else to sweep: what is on its
// way has no name. A service that lists no uploads (MinIO) needs a rule of its
// own for them (AbortIncompleteMultipartUpload).
func (s *S3) Sweep(ctx context.Context, before time.Time) (int, error) {
	const op = "blob.sweep"
	n, key, id := 0, "", ""
	for {
		page, err := s.client.ListMultipartUploads(ctx, s.cfg.Bucket, s.cfg.key(""), key, id, "", 1000)
		if err != nil {
			return n, s.fail(op, "uploads that did not end can't be listed", err)
		}
		for _, u := range page.Uploads {
			if !u.Initiated.Before(before) {
				continue
			}
			err := s.client.AbortMultipartUpload(ctx, s.cfg.Bucket, u.Key, u.UploadID)
			if missing(err) {
				continue
			} else if err != nil {
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
