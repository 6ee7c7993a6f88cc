package resolve

import (
	"bytes"
	"context"
	"net/url"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

// chartVersion is one of a chart in the index of its repository.
// https://helm.sh/docs/topics/chart_repository/#the-index-file
type chartVersion struct {
	Version string   `yaml:"version"`
	Digest  string   `yaml:"digest"` // SHA-256 of the archive in hex; old indexes have none
	URLs    []string `yaml:"urls"`
}

// httpChart finds the newest version that is allowed in a repository's index,
// fetches it and takes its digest.
func (r *Resolver) httpChart(ctx context.Context, ref towpath.External, e *towpath.Pin) error {
	const op = "resolve.chart"
	repository, name := path.Split(ref.Source)
	address := repository + "index.yaml"
	index, err := r.get(ctx, op, address, "", maxIndex)
	if err != nil {
		return err
	}
	all, err := chartVersions(index, name)
	if err != nil {
		return towpath.E(towpath.KindUnavailable, op, "%s can't be read", address).WithCause(err)
	}
	var versions []string
	for _, v := range all {
		versions = append(versions, v.Version)
	}
	var ok bool
	if e.Version, ok = pin.Newest(ref, versions); !ok {
		return noVersion(op, ref, len(versions))
	}
	for _, v := range all {
		if v.Version == e.Version {
			e.Digest, err = r.archive(ctx, op, address, v)
			return err
		}
	}
	return noVersion(op, ref, len(versions))
}

// archive fetches a chart. Where the index says a digest, it has to be that of
// the bytes.
func (r *Resolver) archive(ctx context.Context, op, index string, v chartVersion) (towpath.Digest, error) {
	base, err := url.Parse(index)
	if err != nil || len(v.URLs) == 0 {
		return "", towpath.E(towpath.KindUnavailable, op, "%s does not say where version %s is", index, v.Version)
	}
	at, err := base.Parse(v.URLs[0])
	if err != nil || at.Scheme != "https" && at.Scheme != "http" {
		return "", towpath.E(towpath.KindUnavailable, op, "%s has no address that can be read for version %s", index, v.Version)
	}
	b, err := r.get(ctx, op, at.String(), "", maxArchive)
	if err != nil {
		return "", err
	}
	digest := towpath.DigestOf(b)
	if said := strings.TrimPrefix(v.Digest, "sha256:"); said != "" && said != digest.Hex() {
		return "", towpath.E(towpath.KindConflict, op, "%s is not what its repository's index says: its digest is %s, and not sha256:%s", at, digest, said).
			WithHint("ask who runs the repository; nothing was locked")
	}
	return digest, nil
}

// chartVersions reads the versions of one chart out of an index. Indexes have
// tens of megabytes, so only the chart's part of one is parsed where it can be
// told by its indentation, as all tools write it.
func chartVersions(index []byte, name string) (versions []chartVersion, err error) {
	defer func() { // the parser is somebody else's, and its input is untrusted
		if p := recover(); p != nil {
			err = towpath.E(towpath.KindUnavailable, "resolve.chart", "the index can't be parsed")
		}
	}()
	if part := chartPart(index, name); part != nil {
		index = part
	} else if trimmed := bytes.TrimSpace(index); len(trimmed) == 0 || trimmed[0] != '{' || len(index) > maxAnswer {
		return nil, nil // it is no JSON: the chart is not there
	}
	var file struct {
		Entries map[string][]chartVersion `yaml:"entries"`
	}
	if !pin.Shallow(index) {
		return nil, towpath.E(towpath.KindUnavailable, "resolve.chart", "the index is nested too deeply")
	}
	err = yaml.Unmarshal(index, &file)
	return file.Entries[name], err
}

// chartPart is an index with nothing but one chart; nil when the chart has no
// block of lines of its own.
func chartPart(index []byte, name string) []byte {
	var part []byte
	inEntries, indent := false, -1
	for line := range bytes.Lines(index) {
		text := bytes.TrimRight(line, " \r\n")
		depth := len(text) - len(bytes.TrimLeft(text, " "))
		text = text[depth:]
		switch {
		case len(text) == 0 || text[0] == '#':
		case depth == 0 && (text[0] != '-' || !inEntries):
			if part != nil {
				return part
			}
			inEntries = string(text) == "entries:"
		case part != nil && (depth > indent || depth == indent && text[0] == '-'):
			part = append(part, line...)
		case part != nil:
			return part
		case inEntries && isKey(text, name):
			indent = depth
			part = append([]byte("entries:\n"), line...)
		}
	}
	return part
}

func isKey(text []byte, name string) bool {
	key, ok := bytes.CutSuffix(text, []byte(":"))
	return ok && string(bytes.Trim(key, `"'`)) == name
}
