package blob_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/s3test"
)

func uploads(t *testing.T, server *s3test.Server, cfg blob.S3Config) int {
	t.Helper()
	core := minio.Core{Client: server.Client()}
	page, err := core.ListMultipartUploads(t.Context(), cfg.Bucket, cfg.Prefix, "", "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Uploads)
}

// TestS3_Sweep: what a server leaves that dies in the middle of an upload.
func TestS3_Sweep(t *testing.T) {
	server := s3test.Start(t)
	s, cfg := newS3(t, server, "", func(c *blob.S3Config) { parts(c); c.Tries = 1 })
	dead := s3test.Times(1<<40, func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" || r.Method == "DELETE" },
		func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	server.Break(dead)
	content := noise(12 << 20)
	if _, _, err := s.Put(t.Context(), "", bytes.NewReader(content), 1<<30); err == nil {
		t.Fatal("it was put")
	}
	server.Break(nil)
	if left := uploads(t, server, cfg); left != 1 {
		t.Fatalf("%d uploads are left, want one", left)
	}
	lacks(t, s, towpath.DigestOf(content))
	if n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("it swept %d that are young, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("it swept %d, %v", n, err)
	}
	if left := uploads(t, server, cfg); left != 0 {
		t.Errorf("%d uploads are left", left)
	}
	t.Run("without a prefix, only ours", func(t *testing.T) {
		s, cfg := newS3(t, server, "", func(c *blob.S3Config) { parts(c); c.Tries, c.Prefix = 1, "" })
		core := minio.Core{Client: server.Client()}
		other, err := core.NewMultipartUpload(t.Context(), cfg.Bucket, "shop/backup.tar", minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ours := []string{
			"sha256/ab/abcd", "sha512/ab/abcd", "uploads/5f0c.X", "corrupt/sha256/ab/abcd",
		}
		for _, key := range ours {
			if _, err := core.NewMultipartUpload(t.Context(), cfg.Bucket, key, minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour)); n != len(ours) || err != nil {
			t.Errorf("it swept %d, %v, want %d", n, err, len(ours))
		}
		left, err := core.ListMultipartUploads(t.Context(), cfg.Bucket, "", "", "", "", 100)
		if err != nil || len(left.Uploads) != 1 || left.Uploads[0].UploadID != other {
			t.Errorf("left are %+v, %v", left.Uploads, err)
		}
	})
}

// TestS3_Walk: a list of several answers that breaks off in the second one.
func TestS3_Walk(t *testing.T) {
	server := s3test.Start(t)
	s, cfg := newS3(t, server, "", nil)
	const many = 1200 // an answer has 1000
	for i := range many {
		path := server.Path(cfg.Bucket, keyOf(cfg.Prefix, towpath.DigestOf([]byte(strconv.Itoa(i)))))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	lists := func(r *http.Request) bool { return r.Method == "GET" && r.URL.Query().Has("list-type") }
	later := func(r *http.Request) bool {
		return lists(r) && (r.URL.Query().Get("continuation-token") != "" || r.URL.Query().Get("start-after") != "")
	}
	server.Break(s3test.Times(3, later, s3test.CutAnswer(1000)))
	defer server.Break(nil)
	var got []towpath.Digest
	if err := s.Walk(t.Context(), func(i blob.Info) error { got = append(got, i.Digest); return nil }); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(got) || len(slices.Compact(got)) != many || len(got) != many {
		t.Errorf("it walked over %d blobs, want each of %d once", len(got), many)
	}
}
