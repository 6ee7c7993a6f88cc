package blob

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/towpath/towpath/internal/towpath"
)

// S3Config says where an [S3] keeps its blobs. [ParseS3URL] makes one of what
// people write.
type S3Config struct {
	Endpoint  string // URL of the service; empty: Amazon's
	Region    string // empty: the library finds out
	Bucket    string // it must exist
	Prefix    string // of all keys, without slashes at its ends; may be empty
	PathStyle bool   // the bucket is in the path of URLs, not in the host's name

	// Credentials are those of the AWS environment when they are nil: its
	// variables, its shared files, or the role of the machine.
	Credentials *credentials.Credentials
	Spool       string // folder for what is on its way to the service; empty: the system's
	PartSize    int64  // bytes; what is larger is sent in parts; default 32 MiB
	Tries       int    // of each request; default 10
}

// s3MaxParts is how many parts the service takes of one object.
const s3MaxParts = 10_000

func (c S3Config) withDefaults() S3Config {
	if c.Endpoint == "" {
		c.Endpoint = "https://s3.amazonaws.com"
	}
	if c.PartSize <= 0 {
		c.PartSize = 32 << 20
	}
	if c.Tries <= 0 {
		c.Tries = 10
	}
	if c.Credentials == nil {
		c.Credentials = credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}},
		})
	}
	return c
}

// S3 is a [Store] in a bucket of an S3-compatible service, under a prefix:
//
//	sha256/ab/abcdef…        blobs; beside it sha512/, as on a [Disk]
//	sha256/ab/abcdef….used   when a blob was last touched: the age of this object
//	corrupt/sha256/ab/…      blobs that were found damaged
//	towpath-place            whose place this is; see [S3.Place]
//
// Many processes may share it. Times are those of the service's clock, which
// differs from ours by less than 15 minutes, or it refuses our requests.
type S3 struct {
	cfg    S3Config
	client minio.Core
	// names are held, by the first two digits of a digest, alone while a blob is
	// taken away for what was seen of it, and shared while one is put: within
	// this process nothing gets between the look and the deed.
	names   [256]sync.RWMutex
	buffers buffers
}

var _ Store = (*S3)(nil)

// NewS3 makes the store. It asks the service for nothing but, of a machine with
// a role, credentials; [S3.Place] tells whether the bucket can be used.
func NewS3(ctx context.Context, cfg S3Config) (*S3, error) {
	const op = "blob.open-store"
	cfg = cfg.withDefaults()
	if err := s3utils.CheckValidBucketNameStrict(cfg.Bucket); err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "%q is not the name of a bucket", cfg.Bucket).WithHint("%s", s3Form).WithCause(err)
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the endpoint of the object store is not a URL").WithHint("%s", s3Form)
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, towpath.E(towpath.KindInternal, op, "the object store can't be talked to").WithCause(err)
	}
	value, err := cfg.Credentials.GetWithContext(&credentials.CredContext{Client: &http.Client{Timeout: 10 * time.Second}, Context: ctx})
	if err != nil || value.AccessKeyID == "" {
		return nil, towpath.E(towpath.KindUnauthenticated, op, "there are no credentials for the object store").On(cfg.name()).
			WithHint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with ~/.aws/credentials, or give the machine a role").WithCause(err)
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds: cfg.Credentials, Secure: u.Scheme == "https", Transport: conditional{transport},
		Region: cfg.Region, BucketLookup: lookup, MaxRetries: 1,
	})
	if err != nil {
		return nil, towpath.E(towpath.KindInvalid, op, "the object store can't be used as it is configured").On(cfg.name()).WithHint("%s", s3Form).WithCause(err)
	}
	return &S3{cfg: cfg, client: *core}, nil
}

// name is the bucket and the prefix, for people.
func (c S3Config) name() string { return "s3://" + path.Join(c.Bucket, c.Prefix) }

// key is the name of an object of the store in its bucket.
func (c S3Config) key(name string) string {
	if c.Prefix == "" {
		return name
	}
	return c.Prefix + "/" + name
}

// Folders of what is no blob.
const (
	corruptFolder = "corrupt/"
	stagedFolder  = "uploads/" // of an [S3Staging]
)

// usedSuffix is what the name of a blob's mark has after the blob's.
const usedSuffix = ".used"

// blobName is the name of a blob's object under the prefix; digestOf is the
// digest that such a name has, or empty.
func blobName(d towpath.Digest) string {
	return d.Algorithm() + "/" + d.Encoded()[:2] + "/" + d.Encoded()
}

func digestOf(name string) towpath.Digest {
	algorithm, rest, _ := strings.Cut(name, "/")
	shard, encoded, _ := strings.Cut(rest, "/")
	d := towpath.Digest(algorithm + ":" + encoded)
	if d.Algorithm() != algorithm || algorithm == "" || !strings.HasPrefix(encoded, shard) || len(shard) != 2 {
		return ""
	}
	return d
}

func (s *S3) keyOf(d towpath.Digest) string { return s.cfg.key(blobName(d)) }

// lock is the one of a digest.
func (s *S3) lock(d towpath.Digest) *sync.RWMutex {
	i, _ := strconv.ParseUint(d.Encoded()[:2], 16, 8) // it was checked
	return &s.names[i]
}

// Open opens a blob; its reader verifies and, on damage, puts the blob aside.
// It goes on where it was when a connection breaks.
func (s *S3) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	const op = "blob.open"
	if err := valid(op, d); err != nil {
		return nil, 0, err
	}
	r, size, err := s.read(ctx, op, s.keyOf(d))
	if isNotFound(err) {
		return nil, 0, notFound(op, d)
	} else if err != nil {
		return nil, 0, err
	}
	return newVerifier(ctx, r, d, size, func() error { return s.quarantine(ctx, op, d) }), size, nil
}

// Stat describes a blob.
func (s *S3) Stat(ctx context.Context, d towpath.Digest) (Info, error) {
	const op = "blob.stat"
	if err := valid(op, d); err != nil {
		return Info{}, err
	}
	info, err := s.stat(ctx, op, d)
	if isNotFound(err) {
		err = notFound(op, d)
	}
	return info, err
}

// stat looks at a blob and its mark. The mark is looked at last, so that
// somebody who touches the blob meanwhile is seen.
func (s *S3) stat(ctx context.Context, op string, d towpath.Digest) (Info, error) {
	o, err := s.head(ctx, s.keyOf(d))
	if err != nil {
		return Info{}, s.fail(op, "blob "+string(d)+" can't be looked at", err)
	}
	info := Info{Digest: d, Size: o.Size, Written: o.LastModified}
	mark, err := s.head(ctx, s.keyOf(d)+usedSuffix)
	switch {
	case err != nil && !missing(err):
		return Info{}, s.fail(op, "blob "+string(d)+" can't be looked at", err)
	case err == nil && mark.LastModified.After(info.Written):
		info.Written = mark.LastModified
	}
	return info, nil
}

// Touch makes a blob young again by writing its mark anew. The service has no
// other way that works everywhere: an object that is copied onto itself keeps
// its age on some, can't be larger than 5 GiB, and fills a bucket with versions.
// The age is that of the service's clock, not of ours.
func (s *S3) Touch(ctx context.Context, d towpath.Digest, _ time.Time) error {
	const op = "blob.touch"
	if err := valid(op, d); err != nil {
		return err
	}
	lock := s.lock(d)
	lock.RLock()
	defer lock.RUnlock()
	mark := s.keyOf(d) + usedSuffix
	if err := s.write(ctx, mark, strings.NewReader(""), 0, emptySum, nil); err != nil {
		return s.fail(op, "blob "+string(d)+" can't be marked as used", err)
	}
	// Whoever deletes it looked at the mark before: then it is gone here, or it
	// stays.
	_, err := s.head(ctx, s.keyOf(d))
	switch {
	case missing(err):
		if err := s.remove(ctx, mark); err != nil {
			return s.fail(op, "the mark of blob "+string(d)+" can't be removed", err)
		}
		return notFound(op, d)
	case err != nil:
		return s.fail(op, "blob "+string(d)+" can't be marked as used", err)
	}
	return nil
}

// Delete removes a blob.
func (s *S3) Delete(ctx context.Context, d towpath.Digest) error {
	const op = "blob.delete"
	if err := valid(op, d); err != nil {
		return err
	}
	lock := s.lock(d)
	lock.Lock()
	defer lock.Unlock()
	return s.delete(ctx, op, d)
}

// DeleteOlder removes a blob that was last put or touched before a time. The
// service can't compare ages when it deletes: what another process puts or
// touches between our look and our deed, which is one round trip, is lost. So
// whoever relies on a blob without having put it looks again once its record
// is written (registry.settled).
func (s *S3) DeleteOlder(ctx context.Context, d towpath.Digest, before time.Time) (bool, error) {
	const op = "blob.delete"
	if err := valid(op, d); err != nil {
		return false, err
	}
	lock := s.lock(d)
	lock.Lock()
	defer lock.Unlock()
	info, err := s.stat(ctx, op, d)
	switch {
	case isNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	case !info.Written.Before(before):
		return false, nil
	}
	return true, s.delete(ctx, op, d)
}

// delete removes a blob and its mark, the mark first: a crash between leaves a
// blob that is as old as it was. The caller holds the lock alone.
func (s *S3) delete(ctx context.Context, op string, d towpath.Digest) error {
	for _, key := range []string{s.keyOf(d) + usedSuffix, s.keyOf(d)} {
		if err := s.remove(ctx, key); err != nil {
			return s.fail(op, "blob "+string(d)+" can't be deleted", err)
		}
	}
	return nil
}

// quarantine copies a damaged blob aside and removes it, so that it is missing
// instead of wrong and can be put again. It reads the blob once more first: by
// now it may have been healed. Between that and the removal another process may
// heal it, one round trip long; services that know If-Match refuse the removal
// then, unless the damage left the ETag as it was.
func (s *S3) quarantine(ctx context.Context, op string, d towpath.Digest) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Minute) // whoever read it may be gone
	defer cancel()
	lock := s.lock(d)
	lock.Lock()
	defer lock.Unlock()
	key := s.keyOf(d)
	r, _, err := s.read(ctx, op, key)
	if err != nil {
		return err
	}
	sum := towpath.NewHash(d.Algorithm())
	_, err = io.Copy(sum, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return err
	}
	if towpath.DigestSum(d.Algorithm(), sum) == d {
		return nil
	}
	err = s.retry(ctx, func() error {
		_, err := s.client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: s.cfg.Bucket, Object: s.cfg.key(corruptFolder + blobName(d))},
			minio.CopySrcOptions{Bucket: s.cfg.Bucket, Object: key, MatchETag: r.seen.ETag})
		return err
	})
	if err != nil {
		return s.fail(op, "the damaged blob can't be put aside", err)
	}
	now, err := s.head(ctx, key)
	if err != nil {
		return s.fail(op, "the damaged blob can't be looked at", err)
	}
	if now.ETag != r.seen.ETag || !now.LastModified.Equal(r.seen.LastModified) {
		return nil // it was put again
	}
	err = s.remove(ifMatch(ctx, r.seen.ETag), key)
	if err != nil && !failedPrecondition(err) {
		return s.fail(op, "the damaged blob can't be put aside", err)
	}
	return nil
}
