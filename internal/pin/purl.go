package pin

import (
	"net/url"
	"path"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// PURL is the package URL of what an entry pins; empty for an entry that names
// none, such as one that was written by hand.
// https://github.com/package-url/purl-spec
func PURL(e towpath.Pin) string {
	source, _, _ := strings.Cut(e.Name, " ")
	switch e.Kind {
	case towpath.ExternalImage:
		if n, err := ParseImage(source); err == nil && e.Digest != "" {
			return ociURL(n, e.Digest)
		}
	case towpath.ExternalChart:
		repository, name := path.Split(source)
		if oci, ok := strings.CutPrefix(source, "oci://"); ok {
			if n, err := ParseImage(oci); err == nil && e.Digest != "" {
				n.Tag = e.Version
				return ociURL(n, e.Digest)
			}
		} else if e.Version != "" {
			return "pkg:helm/" + url.PathEscape(name) + "@" + version(e.Version) + "?repository_url=" + qualifier(strings.TrimRight(repository, "/"))
		}
	case towpath.ExternalProvider:
		return providerURL(source, e.Version)
	case towpath.ExternalModule:
		if o, err := ParseOCIModule(source); err == nil {
			if e.Digest == "" {
				return ""
			}
			return ociURL(o, e.Digest)
		}
		if r, ok := RegistryModule(source); ok && e.Version != "" {
			at := "pkg:terraform/" + r.Namespace + "/" + r.Name + "/" + r.Provider + "@" + version(e.Version)
			if r.Host != DefaultRegistry {
				at += "?repository_url=" + qualifier(r.Host)
			}
			return at
		}
		if g, err := ParseGit(source); err == nil && e.Commit != "" {
			return gitURL(g, e.Commit)
		}
	}
	return ""
}

// providerURL names a version of a provider. There is no type for providers:
// they are told from modules by having one part less.
func providerURL(source, v string) string {
	parts := strings.Split(source, "/")
	if v == "" || len(parts) < 2 || len(parts) > 3 {
		return ""
	}
	at := "pkg:terraform/" + strings.Join(parts[len(parts)-2:], "/") + "@" + version(v)
	if len(parts) == 3 && parts[0] != DefaultRegistry {
		at += "?repository_url=" + qualifier(parts[0])
	}
	return at
}

func ociURL(n ImageName, d towpath.Digest) string {
	at := "pkg:oci/" + path.Base(n.Repository) + "@" + strings.ReplaceAll(string(d), ":", "%3A") + "?repository_url=" + qualifier(n.Host+"/"+n.Repository)
	if n.Tag != "" {
		at += "&tag=" + qualifier(n.Tag)
	}
	return at
}

// gitURL names a commit of a repository; those of GitHub have a type of their
// own.
func gitURL(g Git, commit string) string {
	if u, err := url.Parse(g.URL); err == nil && u.Host == "github.com" {
		return "pkg:github/" + strings.ToLower(strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")) + "@" + commit
	}
	name := strings.TrimSuffix(path.Base(strings.ReplaceAll(strings.TrimRight(g.URL, "/"), ":", "/")), ".git")
	return "pkg:generic/" + url.PathEscape(name) + "@" + commit + "?vcs_url=" + qualifier("git+"+g.URL+"@"+commit)
}

func version(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// qualifier is a value as a package URL has it: slashes and colons stay.
func qualifier(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/", "%3A", ":").Replace(url.QueryEscape(s))
}

// OCIPackage reads the package URL of something in a registry, as [PURL]
// writes it: the repository with its host, and the digest.
func OCIPackage(purl string) (repository string, d towpath.Digest, ok bool) {
	rest, ok := strings.CutPrefix(purl, "pkg:oci/")
	if !ok || len(purl) > maxReference {
		return "", "", false
	}
	named, query, _ := strings.Cut(rest, "?")
	_, sum, _ := strings.Cut(named, "@")
	sum, err := url.PathUnescape(sum)
	values, queryErr := url.ParseQuery(query)
	if err != nil || queryErr != nil {
		return "", "", false
	}
	n, err := ParseImage(values.Get("repository_url") + "@" + sum)
	if err != nil {
		return "", "", false
	}
	return n.Host + "/" + n.Repository, n.Digest, true
}
