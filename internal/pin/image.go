package pin

import (
	"errors"
	"regexp"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// ImageName is a container image's name, taken apart.
type ImageName struct {
	Host       string // "docker.io" when none is named
	Repository string // "library/redis" for docker.io's redis
	Tag        string // "latest" when neither tag nor digest is named
	Digest     towpath.Digest
}

// The grammar of https://github.com/distribution/reference.
var (
	imageHost = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$`)
	imagePath = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	imageTag  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// ParseImage reads an image's name as docker does.
func ParseImage(text string) (ImageName, error) {
	if len(text) > maxReference {
		return ImageName{}, errors.New("it is too long for an image")
	}
	rest, sum, pinned := strings.Cut(text, "@")
	n := ImageName{Digest: towpath.Digest(sum)}
	if pinned && !n.Digest.Valid() {
		return ImageName{}, errors.New("its digest is not sha256: and 64 digits")
	}
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		rest, n.Tag = rest[:i], rest[i+1:]
		if !imageTag.MatchString(n.Tag) {
			return ImageName{}, errors.New("its tag is none")
		}
	} else if !pinned {
		n.Tag = "latest"
	}
	n.Host, n.Repository = "docker.io", rest
	if first, after, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost" || strings.ToLower(first) != first) {
		n.Host, n.Repository = first, after
	}
	if n.Host == "index.docker.io" {
		n.Host = "docker.io"
	}
	if n.Host == "docker.io" && !strings.Contains(n.Repository, "/") {
		n.Repository = "library/" + n.Repository
	}
	if !imageHost.MatchString(n.Host) || !imagePath.MatchString(n.Repository) {
		return ImageName{}, errors.New("it is no image's name: write registry.example.com/team/app:1.2")
	}
	return n, nil
}
