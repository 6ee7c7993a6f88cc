package pin

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"

	"github.com/towpath/towpath/internal/towpath"
)

// providerLock is where Terraform and OpenTofu keep which providers a folder
// uses.
const providerLock = ".terraform.lock.hcl"

var terraformName = regexp.MustCompile(`\.(tf|tofu)(\.json)?$`)

var errHCL = errors.New("it is HCL that can't be read, and may name modules and providers")

// terraformFile is what a file says of a configuration. Modules that are in the
// repository are not from outside: they are followed.
type terraformFile struct {
	modules  []Found
	local    []string // folders of modules, relative to the file's
	requires []requirement
	implied  []requirement // by resources, data and providers: which one only the name says
	locked   []lockedProvider
}

// requirement is a provider that a configuration needs.
type requirement struct {
	local   string // name in the configuration: "aws"
	source  string // as it is written: "hashicorp/aws"; empty: none is
	version string // range; empty: any
	line    int
	unknown string
}

// lockedProvider is a provider in a lock file of Terraform.
type lockedProvider struct {
	source  string // with its host
	version string
	hashes  int
	line    int
}

// readTerraform reads one file. It evaluates nothing: a source that is made by
// an expression is unknown.
func readTerraform(name string, src []byte) (f terraformFile, err error) {
	defer func() { // the parser is somebody else's, and its input is untrusted
		if p := recover(); p != nil {
			f, err = terraformFile{}, errHCL
		}
	}()
	var file *hcl.File
	var diags hcl.Diagnostics
	if strings.HasSuffix(name, ".json") {
		if !shallowJSON(src) {
			return f, errHCL
		}
		file, diags = json.Parse(src, name)
	} else {
		if !shallowHCL(src) {
			return f, errHCL
		}
		file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	if diags.HasErrors() || file == nil || file.Body == nil {
		return f, errHCL
	}
	if path.Base(name) == providerLock {
		return f, f.lock(file.Body)
	}
	return f, f.configuration(file.Body)
}

// configuration reads what a file of a configuration takes from outside.
func (f *terraformFile) configuration(body hcl.Body) error {
	content, _, diags := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "module", LabelNames: []string{"name"}}, {Type: "terraform"}, {Type: "provider", LabelNames: []string{"name"}},
		{Type: "resource", LabelNames: []string{"type", "name"}}, {Type: "data", LabelNames: []string{"type", "name"}},
		{Type: "ephemeral", LabelNames: []string{"type", "name"}}, {Type: "check", LabelNames: []string{"name"}},
	}})
	if diags.HasErrors() {
		return errHCL
	}
	for _, b := range content.Blocks {
		line := b.DefRange.Start.Line
		switch b.Type {
		case "module":
			if err := f.module(b); err != nil {
				return err
			}
		case "terraform":
			if err := f.settings(b.Body); err != nil {
				return err
			}
		case "provider":
			f.implied = append(f.implied, requirement{local: b.Labels[0], line: line})
		case "check":
			if err := f.configuration(b.Body); err != nil { // it may have data of its own
				return err
			}
		default:
			local, err := providerOf(b)
			if err != nil {
				return err
			}
			f.implied = append(f.implied, requirement{local: local, line: line})
		}
	}
	return nil
}

// providerOf is the name of the provider that a resource is of: the one that it
// names itself, or the first word of its type.
func providerOf(b *hcl.Block) (string, error) {
	content, _, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "provider"}}})
	if diags.HasErrors() {
		return "", errHCL
	}
	if named := content.Attributes["provider"]; named != nil {
		if at, diags := hcl.AbsTraversalForExpr(named.Expr); !diags.HasErrors() {
			return at.RootName(), nil
		}
		if text, ok := literal(named.Expr); ok { // as it was written of old
			local, _, _ := strings.Cut(text, ".")
			return local, nil
		}
	}
	local, _, _ := strings.Cut(b.Labels[0], "_")
	return local, nil
}

// module reads the source of a module. An override may have none.
func (f *terraformFile) module(b *hcl.Block) error {
	content, _, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "source"}, {Name: "version"}}})
	if diags.HasErrors() {
		return errHCL
	}
	source, ok := content.Attributes["source"]
	if !ok {
		return nil
	}
	found := Found{Line: source.Range.Start.Line, Reference: towpath.External{Kind: towpath.ExternalModule, Source: "module." + b.Labels[0]}}
	text, known := literal(source.Expr)
	versions := ""
	if v, ok := content.Attributes["version"]; ok && known {
		versions, known = literal(v.Expr)
	}
	switch {
	case !known:
		found.Unknown = "its source or version is made by an expression: write it out"
	case text == "." || text == ".." || strings.HasPrefix(text, "./") || strings.HasPrefix(text, "../"):
		f.local = append(f.local, text)
		return nil
	default:
		var err error
		if found.Reference, err = Module(gitShorthand(text), versions); err != nil {
			found.Unknown = err.Error()
		}
	}
	f.modules = append(f.modules, found)
	return nil
}

var (
	hostedGit = regexp.MustCompile(`^(github\.com|gitlab\.com|bitbucket\.org)/([^/?]+)/([^/?]+?)(?:\.git)?(//[^?]*|/[^?]*)?(\?.*)?$`)
	scpGit    = regexp.MustCompile(`^(git@[A-Za-z0-9.-]+):([^?]+)(\?.*)?$`)
)

// gitShorthand writes out what Terraform takes for a git repository without
// being told so.
// https://developer.hashicorp.com/terraform/language/modules/sources#github
func gitShorthand(source string) string {
	if m := hostedGit.FindStringSubmatch(source); m != nil && (m[4] == "" || strings.HasPrefix(m[4], "//")) {
		return "git::https://" + m[1] + "/" + m[2] + "/" + m[3] + ".git" + m[4] + m[5]
	}
	if scpGit.MatchString(source) {
		return "git::" + source
	}
	return source
}

// settings reads which providers are required.
func (f *terraformFile) settings(body hcl.Body) error {
	content, _, diags := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "required_providers"}}})
	if diags.HasErrors() {
		return errHCL
	}
	for _, b := range content.Blocks {
		attributes, diags := b.Body.JustAttributes()
		if diags.HasErrors() {
			return errHCL
		}
		for _, a := range attributes {
			f.requires = append(f.requires, required(a))
		}
	}
	slices.SortFunc(f.requires, func(a, b requirement) int { return a.line - b.line })
	return nil
}

// required reads one provider: a map with a source and a range of versions, or
// in the way of old the range alone.
func required(a *hcl.Attribute) requirement {
	r := requirement{local: a.Name, line: a.Range.Start.Line}
	if text, ok := literal(a.Expr); ok {
		r.version = text
		return r
	}
	pairs, diags := hcl.ExprMap(a.Expr)
	if diags.HasErrors() {
		r.unknown = "what is required of it is made by an expression: write it out"
		return r
	}
	for _, p := range pairs {
		key := hcl.ExprAsKeyword(p.Key)
		if key == "" {
			key, _ = literal(p.Key)
		}
		into := map[string]*string{"source": &r.source, "version": &r.version}[key]
		if into == nil {
			continue
		}
		var ok bool
		if *into, ok = literal(p.Value); !ok {
			r.unknown = "its " + key + " is made by an expression: write it out"
		}
	}
	return r
}

// lock reads a lock file of Terraform.
func (f *terraformFile) lock(body hcl.Body) error {
	content, _, diags := body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "provider", LabelNames: []string{"source"}}}})
	if diags.HasErrors() {
		return errHCL
	}
	for _, b := range content.Blocks {
		attributes, _, diags := b.Body.PartialContent(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "version"}, {Name: "hashes"}}})
		if diags.HasErrors() {
			return errHCL
		}
		p := lockedProvider{source: b.Labels[0], line: b.DefRange.Start.Line}
		if v := attributes.Attributes["version"]; v != nil {
			p.version, _ = literal(v.Expr)
		}
		if h := attributes.Attributes["hashes"]; h != nil {
			list, _ := hcl.ExprList(h.Expr)
			p.hashes = len(list)
		}
		f.locked = append(f.locked, p)
	}
	return nil
}

// literal is a text that nothing is put into.
func literal(e hcl.Expression) (string, bool) {
	switch x := e.(type) {
	case *hclsyntax.TemplateExpr:
		if !x.IsStringLiteral() {
			return "", false
		}
	case hclsyntax.Expression:
		return "", false
	}
	v, diags := e.Value(nil)
	if diags.HasErrors() || v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return "", false
	}
	s := v.AsString()
	return s, !strings.Contains(s, "${") && !strings.Contains(s, "%{")
}

// shallowJSON says that no list or map is nested deeper than a recursive parser
// survives.
func shallowJSON(src []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return true
}

// shallowHCL says that nothing is nested deeper than a recursive parser
// survives. Beside brackets that are conditions, each in what follows the one
// before, runs of signs, and what a template repeats or leaves out.
func shallowHCL(src []byte) bool {
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	type bracket struct {
		conditions int  // that were begun in it
		lines      bool // a line ends them
	}
	open := []bracket{{lines: true}}
	depth, signs, blocks := 0, 0, 0
	for i, t := range tokens {
		sign := false
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, bracket{lines: t.Type == hclsyntax.TokenOBrace})
			depth++
			if t.Type == hclsyntax.TokenTemplateControl && i+1 < len(tokens) {
				blocks += map[string]int{"if": 1, "for": 1, "endif": -1, "endfor": -1}[string(tokens[i+1].Bytes)]
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(open) > 1 {
				depth -= 1 + open[len(open)-1].conditions
				open = open[:len(open)-1]
			}
		case hclsyntax.TokenQuestion:
			open[len(open)-1].conditions++
			depth++
		case hclsyntax.TokenComma, hclsyntax.TokenNewline:
			if in := &open[len(open)-1]; in.lines || t.Type == hclsyntax.TokenComma {
				depth -= in.conditions
				in.conditions = 0
			}
		case hclsyntax.TokenBang, hclsyntax.TokenMinus:
			sign = true
		}
		switch {
		case sign:
			signs++
		case t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenComment:
			signs = 0
		}
		if depth > maxDepth || signs > maxDepth || blocks > maxDepth {
			return false
		}
	}
	return true
}
