package blob

import (
	"context"
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/towpath/towpath/internal/towpath"
)

// missing reports whether the service says that an object, or an upload in
// parts, is not there.
func missing(err error) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && r.StatusCode == http.StatusNotFound && (r.Code == minio.NoSuchKey || r.Code == minio.NoSuchUpload)
}

func failedPrecondition(err error) bool {
	var r minio.ErrorResponse
	return errors.As(err, &r) && r.StatusCode == http.StatusPreconditionFailed
}

func isNotFound(err error) bool { return towpath.KindOf(err) == towpath.KindNotFound }

// fail explains a failed request; nil stays nil, and errors that say already
// what is wrong stay as they are.
func (s *S3) fail(op, what string, err error) error {
	var known *towpath.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var r minio.ErrorResponse
	if !errors.As(err, &r) {
		return towpath.E(towpath.KindUnavailable, op, "%s: the object store does not answer", what).On(s.cfg.name()).
			WithHint("check that the endpoint in --blobs can be reached, then try again; nothing was acknowledged and nothing is broken").WithCause(err)
	}
	kind, why, hint := explain(r)
	return towpath.E(kind, op, "%s: %s", what, why).On(s.cfg.name()).WithHint("%s", hint).WithCause(err)
}

// explain says what an answer of the service means and what to do. The codes
// are those of the S3 API reference, and of MinIO and Versity for what that does
// not have.
func explain(r minio.ErrorResponse) (kind towpath.Kind, why, hint string) {
	switch r.Code {
	case minio.NoSuchKey, minio.NoSuchUpload:
		return towpath.KindNotFound, "it is not there", ""
	case minio.NoSuchBucket:
		return towpath.KindUnavailable, "there is no such bucket", "make the bucket, or correct its name in --blobs; towpath makes none itself"
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "XAdminUserNotFound":
		return towpath.KindUnavailable, "the object store does not take the credentials",
			"check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role they come from; the region in --blobs is part of the signature"
	case "RequestTimeTooSkewed":
		return towpath.KindUnavailable, "the clock of this machine and that of the object store differ by more than 15 minutes", "set the clock, by NTP for instance"
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException", minio.InvalidRegion:
		hint := "set region=… in --blobs to the region of the bucket"
		if r.Region != "" {
			hint = "set region=" + r.Region + " in --blobs"
		}
		return towpath.KindUnavailable, "the bucket is in another region", hint
	case "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull", "InsufficientCapacity", "EntityTooLarge":
		return towpath.KindExhausted, "the object store takes no more",
			"make room in the bucket or raise its quota, then try again; nothing was acknowledged and nothing is broken"
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable":
		return towpath.KindUnavailable, "the object store is asked too much", "try again later; nothing was acknowledged and nothing is broken"
	}
	switch {
	case r.StatusCode == http.StatusForbidden || r.Code == minio.AccessDenied:
		return towpath.KindUnavailable, "the object store denies access",
			"let the credentials list the bucket (s3:ListBucket, s3:ListBucketMultipartUploads) and read, write and delete its objects (s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload)"
	case r.StatusCode == http.StatusInsufficientStorage:
		return towpath.KindExhausted, "the object store is full",
			"make room in the bucket or raise its quota, then try again; nothing was acknowledged and nothing is broken"
	case r.StatusCode == http.StatusMovedPermanently || r.StatusCode == http.StatusTemporaryRedirect:
		return towpath.KindUnavailable, "the bucket is somewhere else", "set the region and the endpoint of the bucket in --blobs"
	}
	return towpath.KindUnavailable, "the object store does not work", "look at its own log, then try again; nothing was acknowledged and nothing is broken"
}
