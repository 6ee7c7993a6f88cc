package blob

import (
	"errors"
	"maps"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/towpath/towpath/internal/didyoumean"
	"github.com/towpath/towpath/internal/loopback"
	"github.com/towpath/towpath/internal/towpath"
)

// s3Form is how a place in an object store is written.
const s3Form = "s3://bucket/prefix?endpoint=https://host&region=name&path-style=true, of which only the bucket is needed"

// s3Options are what a URL may say after its question mark.
var s3Options = []string{"endpoint", "region", "path-style", "plain-http"}

// ParseS3URL reads where blobs are kept, and returns all that is wrong with it
// at once. A URL is shown by ps and stands in files of units: one with
// credentials is refused, and not repeated.
func ParseS3URL(text string) (S3Config, error) {
	const op = "blob.parse-url"
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "s3" {
		return S3Config{}, towpath.E(towpath.KindInvalid, op, "the place of the blobs is not an s3:// URL").WithHint("%s", s3Form)
	}
	var wrong []error
	bad := func(hint, format string, args ...any) {
		wrong = append(wrong, towpath.E(towpath.KindInvalid, op, format, args...).WithHint("%s", hint))
	}
	const noSecrets = "leave them out of the URL, and use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the machine's role"
	if u.User != nil {
		bad(noSecrets, "the URL of the blobs has credentials in it")
	}
	c := S3Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if s3utils.CheckValidBucketNameStrict(c.Bucket) != nil {
		bad(s3Form, "%q is not the name of a bucket", c.Bucket)
	}
	if c.Prefix != "" && (path.Clean(c.Prefix) != c.Prefix || strings.HasPrefix(c.Prefix, "..")) || strings.IndexFunc(c.Prefix, notInPrefix) >= 0 {
		bad("letters, digits, . _ - and / between its parts", "%q is not a prefix of keys", c.Prefix)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		bad(s3Form, "what stands after the bucket of the blobs can't be read")
	}
	flag := func(name string) bool {
		on, err := strconv.ParseBool(q.Get(name))
		if err != nil && q.Get(name) != "" {
			bad("true or false", "%s is neither true nor false", name)
		}
		return on
	}
	c.Region, c.PathStyle = q.Get("region"), flag("path-style")
	plain := flag("plain-http")
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(s3Options, name) {
			hint := didyoumean.Hint(name, s3Options)
			if looksSecret(name) {
				hint = noSecrets
			}
			bad(hint, "the URL of the blobs has an option %q, which there is not", name)
		}
	}
	if c.Endpoint = q.Get("endpoint"); c.Endpoint != "" {
		e, err := url.Parse(c.Endpoint)
		switch {
		case err != nil || e.Scheme != "https" && e.Scheme != "http" || e.Host == "" || e.Path != "" && e.Path != "/" || e.RawQuery != "" || e.Fragment != "":
			bad("https:// and the host, with a port if need be", "the endpoint of the blobs is not the URL of a server")
		case e.User != nil:
			bad(noSecrets, "the endpoint of the blobs has credentials in it")
		case e.Scheme == "http" && !loopback.Host(e.Host) && !plain:
			bad("use https://, or say plain-http=true when only you can listen in", "the endpoint of the blobs is not encrypted and not on this machine")
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return S3Config{}, err
	}
	return c, nil
}

// notInPrefix keeps to what every service, and every file system behind one,
// takes in a key without escapes.
func notInPrefix(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-/", r)
}

func looksSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "key") || strings.Contains(name, "secret") || strings.Contains(name, "token") || strings.Contains(name, "password")
}
