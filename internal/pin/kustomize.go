package pin

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/goccy/go-yaml/ast"

	"github.com/towpath/towpath/internal/towpath"
)

var kustomizationName = regexp.MustCompile(`^(?:kustomization\.ya?ml|Kustomization)$`)

// kustomization finds what kustomize puts in the place of images, what it
// fetches, and the charts that it renders.
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/
func (r *document) kustomization(top fields) {
	for _, key := range []string{"images", "imageTags"} {
		for _, n := range r.items(top.at[key]) {
			r.newImage(n)
		}
	}
	for _, key := range []string{"resources", "bases", "components", "configurations", "crds", "generators", "transformers", "validators"} {
		for _, n := range r.items(top.at[key]) {
			r.resource(n)
		}
	}
	for _, n := range r.items(top.at["patchesStrategicMerge"]) {
		r.resource(n)
	}
	for _, key := range []string{"patches", "patchesJson6902", "replacements"} {
		for _, n := range r.items(top.at[key]) {
			f := r.fields(n)
			r.local(f.at["path"])
			r.inline(f.at["patch"])
		}
	}
	for _, key := range []string{"configMapGenerator", "secretGenerator"} {
		for _, n := range r.items(top.at[key]) {
			f := r.fields(n)
			for _, file := range slices.Concat(r.items(f.at["files"]), r.items(f.at["envs"]), []ast.Node{f.at["env"]}) {
				r.local(file)
			}
		}
	}
	r.local(r.fields(top.at["openapi"]).at["path"])
	for _, n := range r.items(top.at["helmCharts"]) {
		f := r.fields(n)
		r.inflated(n, f.at["repo"], f.at["name"], f.at["version"])
		for _, file := range slices.Concat(r.items(f.at["additionalValuesFiles"]), []ast.Node{f.at["valuesFile"]}) {
			r.local(file)
		}
	}
	for _, n := range r.items(top.at["helmChartInflationGenerator"]) {
		f := r.fields(n)
		r.inflated(n, f.at["chartRepoUrl"], f.at["chartName"], f.at["chartVersion"])
		r.local(f.at["values"])
	}
}

// plugin finds what a resource says that is meant for kustomize itself.
func (r *document) plugin(kind string, top fields) {
	switch kind {
	case "HelmChartInflationGenerator":
		r.inflated(top.at["name"], top.at["repo"], top.at["name"], top.at["version"])
		r.local(top.at["valuesFile"])
	case "ImageTagTransformer":
		r.newImage(top.at["imageTag"])
	}
}

// newImage is an image that takes the place of one in the resources. Its digest
// counts before its tag.
func (r *document) newImage(n ast.Node) {
	f := r.fields(n)
	name, newName := r.text(f.at["name"]), r.text(f.at["newName"])
	tag, digest := r.scalar(f.at["newTag"]), r.scalar(f.at["digest"])
	text := cmp.Or(newName, name)
	switch {
	case digest != "":
		text += "@" + digest
	case tag != "":
		text += ":" + tag
	case newName == "" && !r.has(f.at["tagSuffix"]):
		return // it stays what it is
	default:
		x := image(text, lineOf(n))
		x.Unknown = "its tag stands elsewhere: give newTag or digest here"
		r.found = append(r.found, x)
		return
	}
	r.found = append(r.found, image(text, lineOf(n)))
}

// resource is a file or a folder of the repository, something that kustomize
// fetches, or what would stand in such a file.
func (r *document) resource(n ast.Node) {
	text := r.text(n)
	switch {
	case strings.ContainsAny(text, "\n{"):
		r.inline(n)
	case remote(text):
		r.found = append(r.found, kustomizeSource(text, lineOf(n)))
	}
}

// local is a file that kustomize has to have from the repository. It is written
// FILE or KEY=FILE.
func (r *document) local(n ast.Node) {
	text := r.text(n)
	if key, file, ok := strings.Cut(text, "="); ok && !strings.ContainsAny(key, ":/") {
		text = file
	}
	if remote(text) {
		r.found = append(r.found, Found{Line: lineOf(n), Unknown: "kustomize fetches it, and can't be held to what it is now: commit the file",
			Reference: towpath.External{Kind: towpath.ExternalModule, Source: shown(text)}})
	}
}

// inline reads YAML that stands in a text. All of it is found in the line where
// the text begins.
func (r *document) inline(n ast.Node) {
	text := r.text(n)
	if r.nodes += len(text); r.spent(0) || !strings.ContainsAny(text, "\n{") {
		return
	}
	found, err := patches([]byte(text))
	if err != nil {
		found = []Found{{Unknown: err.Error()}}
	}
	for _, f := range found {
		f.Line = lineOf(n)
		r.found = append(r.found, f)
	}
}

// inflated is a chart that kustomize has helm fetch, each time anew: a range of
// versions is whatever is the newest then. One without a repository lies beside
// the file.
func (r *document) inflated(at, repo, name, version ast.Node) {
	repository, v := r.text(repo), r.scalar(version)
	if repository == "" {
		return
	}
	ref, err := Chart(repository, r.text(name), v)
	f := Found{Reference: ref, Line: lineOf(at)}
	if _, inexact := semver.StrictNewVersion(strings.TrimPrefix(v, "v")); err != nil {
		f.Unknown = err.Error()
	} else if inexact != nil {
		f.Unknown = "kustomize takes the newest of these versions: name one, such as 1.2.3"
	}
	r.found = append(r.found, f)
}

var (
	remoteText = regexp.MustCompile(`(?i)://|::|\?|^gh:|^[^/]+@[^/]+[:/]|^github\.com:|\.git(?:/|$)|_git/`)
	gitHosts   = []string{"github.com", "www.github.com", "gitlab.com", "bitbucket.org", "dev.azure.com", "ssh.dev.azure.com"}
	webFile    = regexp.MustCompile(`(?i)\.(?:ya?ml|json)$|(?:^|/)(?:raw|releases|-)/`)
)

// remote says that kustomize takes a text for something to fetch.
func remote(text string) bool {
	if strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../") || strings.HasPrefix(text, "/") {
		return false
	}
	host, _, folder := strings.Cut(text, "/")
	return remoteText.MatchString(text) || folder && slices.Contains(gitHosts, strings.ToLower(host))
}

// kustomizeSource is what kustomize fetches, as a module of a git repository.
// https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md
func kustomizeSource(text string, line int) Found {
	f := Found{Line: line, Reference: towpath.External{Kind: towpath.ExternalModule, Source: shown(text)}}
	source, why := gitOfKustomize(text)
	if why != "" {
		f.Unknown = why
		return f
	}
	ref, err := Module(source, "")
	if f.Reference = ref; err != nil {
		f.Unknown = err.Error()
	}
	return f
}

// gitOfKustomize writes what kustomize takes for a git repository as Terraform
// does, or says why it can't be pinned.
func gitOfKustomize(text string) (source, why string) {
	at, query, _ := strings.Cut(text, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", "what follows ? can't be read"
	}
	for key := range values {
		if !slices.Contains([]string{"ref", "version", "timeout", "submodules", "cache", "depth"}, key) {
			return "", "kustomize knows something else behind the ?: write ?ref= and a tag or a commit"
		}
	}
	at, forced := trimFold(at, "git::")
	for _, p := range []string{"gh:", "github.com:", "github.com/", "www.github.com/"} {
		if rest, ok := trimFold(at, p); ok {
			at, forced = "https://github.com/"+rest, true
			break
		}
	}
	scheme, rest, isURL := strings.Cut(at, "://")
	scheme = strings.ToLower(scheme)
	if !isURL {
		scheme, rest = "", at
	}
	host, where, ok := strings.Cut(rest, "/")
	if !isURL {
		if i := strings.IndexAny(rest, ":/"); i >= 0 && strings.Contains(rest[:i], "@") {
			host, where, ok = rest[:i], rest[i+1:], true
		} else {
			return "", "nobody knows where kustomize takes it from: write git::https://…?ref= with a commit, or ./ before a folder of the repository"
		}
	}
	if !ok {
		return "", "it names no repository"
	}
	web := (scheme == "http" || scheme == "https") && !forced
	folded := strings.ToLower(host)
	repository, folder := splitRepository(where)
	switch {
	case scheme == "file":
		return "", "it is a path of one machine: commit the folder"
	case web && webFile.MatchString(where):
		return "", "a web server may answer something else tomorrow: commit the file, or name its git repository: git::https://…?ref= and a commit"
	case web && (scheme == "http" || !slices.Contains(gitHosts, folded)):
		return "", "kustomize asks a web server for it before it asks git: write git:: before it, and ?ref= with a commit"
	}
	if folded == "github.com" || folded == "www.github.com" {
		host, repository = "github.com", strings.TrimSuffix(repository, ".git")+".git"
	}
	source = "git::" + host + ":" + repository
	if isURL {
		source = "git::" + scheme + "://" + host + "/" + repository
	}
	if folder != "" {
		source += "//" + folder
	}
	if ref := cmp.Or(values.Get("ref"), values.Get("version")); ref != "" {
		source += "?ref=" + url.QueryEscape(ref)
	}
	return source, ""
}

// splitRepository parts a repository from a folder in it: behind .git, behind
// the name that follows _git/, at //, or behind owner and name.
func splitRepository(where string) (repository, folder string) {
	end := len(where)
	if i := strings.Index(where+"/", ".git/"); i >= 0 {
		end = i + len(".git")
	} else if i := strings.Index(where, "_git/"); i >= 0 {
		if k := strings.Index(where[i+len("_git/"):], "/"); k >= 0 {
			end = i + len("_git/") + k
		}
	} else if i := strings.Index(where, "//"); i >= 0 {
		end = i
	} else if parts := strings.SplitN(where, "/", 3); len(parts) == 3 {
		end = len(parts[0]) + 1 + len(parts[1])
	}
	return where[:end], strings.Trim(where[end:], "/")
}

func trimFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
