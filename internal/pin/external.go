package pin

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/towpath"
)

// maxReference is the longest reference, in bytes.
const maxReference = 1000

// printable is what a reference is made of: it stands in messages, in the lock
// file and in the arguments of git.
var printable = regexp.MustCompile(`^[!-~]+$`)

// Chart makes the reference of a chart in a repository: an HTTP repository with
// an index.yaml, or an OCI one (oci://…). The error is for people.
func Chart(repository, name, versions string) (towpath.External, error) {
	repository = strings.TrimRight(repository, "/")
	ref := towpath.External{Kind: towpath.ExternalChart, Source: withoutUser(repository) + "/" + name, Version: versions}
	u, err := address(repository, "http", "https", "oci")
	if err != nil {
		return ref, err
	}
	switch {
	case u.RawQuery != "" || u.Fragment != "":
		return ref, errors.New("the repository's address has a query")
	case !chartName.MatchString(name):
		return ref, fmt.Errorf("%q is no name of a chart", name)
	case versions == "":
		return ref, errors.New("it has no version")
	}
	if _, err := constraint(ref); err != nil {
		return ref, err
	}
	if u.Scheme == "oci" {
		if _, err := ParseImage(strings.TrimPrefix(ref.Source, "oci://")); err != nil {
			return ref, err
		}
	}
	return ref, nil
}

var chartName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// Image makes the reference of a container image.
func Image(text string) (towpath.External, error) {
	ref := towpath.External{Kind: towpath.ExternalImage, Source: text}
	_, err := ParseImage(text)
	return ref, err
}

// Module makes the reference of a Terraform module: git::… with a ref, or the
// address of a registry with a range of versions.
func Module(source, versions string) (towpath.External, error) {
	ref := towpath.External{Kind: towpath.ExternalModule, Source: source, Version: versions}
	if rest, ok := strings.CutPrefix(source, "git::"); ok {
		ref.Source = "git::" + shown(rest)
		if versions != "" {
			return ref, errors.New("a module of a git repository has no version: name a tag, as in ?ref=v1.2.0")
		}
		_, err := ParseGit(source)
		return ref, err
	}
	if strings.HasPrefix(source, "oci://") {
		ref.Source = shown(source)
		if versions != "" {
			return ref, errors.New("a module of a registry of images has no version: name a tag, as in ?tag=1.2.0")
		}
		_, err := ParseOCIModule(source)
		return ref, err
	}
	if _, ok := RegistryModule(source); !ok {
		ref.Source = shown(source)
		return ref, fmt.Errorf("%q is no module from outside that can be locked: write git::https://…?ref=v1.2.0, oci://…?tag=1.2.0, or namespace/name/provider", ref.Source)
	}
	if versions == "" {
		return ref, errors.New("a module of a registry needs a version")
	}
	_, err := constraint(ref)
	return ref, err
}

// address reads a URL that may be shown: without a password.
func address(text string, schemes ...string) (*url.URL, error) {
	if !printable.MatchString(text) || len(text) > maxReference {
		return nil, errors.New("it is no address")
	}
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" {
		return nil, errors.New("it is no address")
	}
	for _, s := range schemes {
		if u.Scheme != s {
			continue
		}
		if u.Host == "" && s != "file" {
			return nil, errors.New("its address names no host")
		}
		if u.User != nil && s != "ssh" {
			return nil, errors.New("its address carries a user or a password: leave them to git's and docker's own configuration")
		}
		if _, has := u.User.Password(); has {
			return nil, errors.New("its address carries a password")
		}
		return u, nil
	}
	return nil, fmt.Errorf("its address begins with none of %s", strings.Join(schemes, "://, ")+"://")
}

// withoutUser is a text without what stands between :// and @.
func withoutUser(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "ssh" && !strings.Contains(strings.SplitN(rest, "@", 2)[0], ":") {
		return text
	}
	host, _, _ := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); i >= 0 {
		rest = rest[i+1:]
	}
	return scheme + "://" + rest
}

// gitQuery is what the query of a git source may have; anything else may be a
// credential, such as sshkey.
var gitQuery = []string{"ref", "depth", "archive"}

// openQuery are the keys whose values may be shown.
var openQuery = append([]string{"tag", "digest", "version", "submodules", "timeout", "cache", "checksum"}, gitQuery...)

// shown is an address without what may be a credential: the user, and values of
// a query but those that are known to be none.
func shown(text string) string {
	text = withoutUser(text)
	at, query, ok := strings.Cut(text, "?")
	if !ok {
		return text
	}
	pairs := strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
	for i, p := range pairs {
		key, _, named := strings.Cut(p, "=")
		switch {
		case !named:
			pairs[i] = "(hidden)"
		case !slices.Contains(openQuery, key):
			pairs[i] = key + "=(hidden)"
		}
	}
	return at + "?" + strings.Join(pairs, "&")
}

// gitAddress is how scp writes an address: git@example.com:net/vpc.git.
var gitAddress = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:?#-][^:?#]*$`)

// Git is where a module lies in a git repository.
type Git struct {
	URL    string // as git takes it
	Folder string
	Ref    string // empty: what HEAD names
}

// IsCommit says that the ref is a commit in full, which can't move.
func (g Git) IsCommit() bool { return isCommit(g.Ref) }

var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func isCommit(s string) bool { return commitID.MatchString(s) }

// ParseGit reads a module's git source: git::URL//folder?ref=REF.
func ParseGit(source string) (Git, error) {
	text, ok := strings.CutPrefix(source, "git::")
	if !ok || !printable.MatchString(text) || len(text) > maxReference {
		return Git{}, errors.New("it is no git source")
	}
	text, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return Git{}, errors.New("what follows ? can't be read")
	}
	for key := range values {
		if !slices.Contains(gitQuery, key) {
			return Git{}, errors.New("more than ref and depth follow its ?: leave credentials to git's own configuration")
		}
	}
	g := Git{Ref: values.Get("ref")}
	if strings.HasPrefix(g.Ref, "-") || strings.ContainsAny(g.Ref, " *?[\\^~:") {
		return Git{}, fmt.Errorf("%q is no ref", g.Ref)
	}
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		scheme, rest = "", text
	}
	rest, g.Folder, _ = strings.Cut(rest, "//")
	if !hasScheme {
		if !gitAddress.MatchString(rest) {
			return Git{}, errors.New("its address is neither a URL nor user@host:path")
		}
		g.URL = rest
		return g, nil
	}
	g.URL = scheme + "://" + rest
	_, err = address(g.URL, "https", "http", "ssh", "file")
	return g, err
}

// ParseOCIModule reads a module's source in a registry of images, as OpenTofu
// has it: oci://HOST/REPOSITORY//folder?tag=TAG, or ?digest=DIGEST.
// https://opentofu.org/docs/language/modules/sources/#oci-distribution-repository
func ParseOCIModule(source string) (ImageName, error) {
	text, ok := strings.CutPrefix(source, "oci://")
	if !ok || !printable.MatchString(text) || len(text) > maxReference {
		return ImageName{}, errors.New("it is no module of a registry of images")
	}
	text, query, _ := strings.Cut(text, "?")
	text, _, _ = strings.Cut(text, "//")
	values, err := url.ParseQuery(query)
	if err != nil {
		return ImageName{}, errors.New("what follows ? can't be read")
	}
	for key := range values {
		if key != "tag" && key != "digest" {
			return ImageName{}, errors.New("more than a tag or a digest follows its ?")
		}
	}
	switch tag, sum := values.Get("tag"), values.Get("digest"); {
	case tag != "" && sum != "":
		return ImageName{}, errors.New("it has both a tag and a digest")
	case tag != "":
		text += ":" + tag
	case sum != "":
		text += "@" + sum
	}
	if host, _, _ := strings.Cut(text, "/"); !strings.ContainsAny(host, ".:") && host != "localhost" {
		return ImageName{}, errors.New("it names no host")
	}
	return ParseImage(text)
}

// Registry is a module in a registry of modules.
type Registry struct{ Host, Namespace, Name, Provider string }

// DefaultRegistry is Terraform's own, which addresses without a host mean.
const DefaultRegistry = "registry.terraform.io"

var (
	moduleName = regexp.MustCompile(`^[0-9A-Za-z](?:[0-9A-Za-z_-]{0,62}[0-9A-Za-z])?$`)
	moduleHost = regexp.MustCompile(`^[0-9A-Za-z.-]+(:[0-9]+)?$`)
)

// RegistryModule reads the address of a module in a registry, with a folder in
// it or without: host/namespace/name/provider//folder.
func RegistryModule(source string) (Registry, bool) {
	path, _, _ := strings.Cut(source, "//")
	parts := strings.Split(path, "/")
	if len(parts) == 3 {
		parts = append([]string{DefaultRegistry}, parts...)
	}
	if len(source) > maxReference || len(parts) != 4 || !moduleHost.MatchString(parts[0]) || !strings.ContainsAny(parts[0], ".:") {
		return Registry{}, false
	}
	for _, p := range parts[1:] {
		if !moduleName.MatchString(p) {
			return Registry{}, false
		}
	}
	return Registry{parts[0], parts[1], parts[2], parts[3]}, true
}

// constraint is the range of versions of a chart, module or provider.
func constraint(ref towpath.External) (*semver.Constraints, error) {
	text, ok := ref.Version, true
	if ref.Kind == towpath.ExternalModule || ref.Kind == towpath.ExternalProvider {
		text, ok = terraformRange(text)
	}
	c, err := semver.NewConstraint(text)
	if err != nil || !ok || len(ref.Version) > maxReference || strings.ContainsAny(ref.Version, "\n\r\t\"\\") {
		return nil, fmt.Errorf("%q is no range of versions", ref.Version)
	}
	return c, nil
}

// allows says that a range allows a version.
func allows(ref towpath.External, version string) bool {
	c, err := constraint(ref)
	if err != nil {
		return false
	}
	v, err := semver.NewVersion(version)
	return err == nil && c.Check(v)
}

var terraformPart = regexp.MustCompile(`^\s*(=|!=|>=|<=|>|<|~>)?\s*v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\s*$`)

// terraformRange writes a range of versions out that Terraform has in another
// way than others: what a version lacks is 0, and the last number given behind
// ~> may grow.
// https://developer.hashicorp.com/terraform/language/expressions/version-constraints
func terraformRange(text string) (string, bool) {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		m := terraformPart.FindStringSubmatch(part)
		if m == nil {
			return "", false
		}
		version := m[2] + cmp.Or(m[3], ".0") + cmp.Or(m[4], ".0") + m[5] + m[6]
		switch {
		case m[1] != "~>":
			out = append(out, cmp.Or(m[1], "=")+version)
			continue
		case m[4] != "":
			out = append(out, "<"+m[2]+"."+next(m[3][1:])+".0-0")
		case m[3] != "":
			out = append(out, "<"+next(m[2])+".0.0-0")
		}
		out = append(out, ">="+version)
	}
	return strings.Join(out, ", "), true
}

// next is the number after a decimal one.
func next(number string) string {
	digits := []byte(number)
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] != '9' {
			digits[i]++
			return string(digits)
		}
		digits[i] = '0'
	}
	return "1" + string(digits)
}

// Newest is the highest of the versions that a reference allows; what is no
// version is passed over. A version before a release counts only when the range
// names one.
func Newest(ref towpath.External, versions []string) (string, bool) {
	c, err := constraint(ref)
	if err != nil {
		return "", false
	}
	var best *semver.Version
	for _, text := range versions {
		v, err := semver.NewVersion(text)
		if err == nil && c.Check(v) && (best == nil || v.GreaterThan(best) || v.Equal(best) && v.Original() > best.Original()) {
			best = v
		}
	}
	if best == nil {
		return "", false
	}
	return best.Original(), true
}
