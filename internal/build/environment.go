package build

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/towpath/towpath/internal/oci"
)

// passed names the variables that a build command sees of the builder's own
// environment: where tools and their caches are, and how to reach the network.
// None of them says what to build.
func passed() []string {
	return []string{
		"PATH", "HOME", "LOGNAME", "USER",
		"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOTOOLCHAIN",
		"CARGO_HOME", "RUSTUP_HOME", "npm_config_cache", "PIP_CACHE_DIR", "XDG_CACHE_HOME",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
	}
}

// environment is what a build command runs in: what was passed on, then what
// is fixed so that builds repeat, then what the project says.
func (b *Builder) environment(u unit, tmp string) []string {
	env := b.passedEnv()
	maps.Copy(env, map[string]string{
		"TZ": "UTC", "LC_ALL": "C", "LANG": "C",
		"SOURCE_DATE_EPOCH": strconv.Itoa(oci.Epoch),
		"TMPDIR":            tmp,
		// Version control is not in the export, and must not be found above it.
		"GOFLAGS":                 "-trimpath -buildvcs=false",
		"GIT_CEILING_DIRECTORIES": tmp,
	})
	maps.Copy(env, u.build.Env)
	return flat(env)
}

func (b *Builder) passedEnv() map[string]string {
	names := append(passed(), b.cfg.PassEnv...)
	env := map[string]string{}
	for _, kv := range b.cfg.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok && slices.Contains(names, k) {
			env[k] = v
		}
	}
	return env
}

func flat(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// tools are programs whose replacement may change what a build makes, though
// neither its sources nor its environment changed.
func tools() []string {
	return []string{"go", "node", "npm", "python3", "cc", "c++", "rustc", "cargo", "javac", "mvn", "ruby", "make"}
}

// toolchain describes the tools on a PATH and the command's own program, by
// what changes when one is replaced.
func toolchain(pathVar, program string) []string {
	var out []string
	for _, name := range append(tools(), program) {
		if at, info, ok := lookup(pathVar, name); ok {
			out = append(out, name+"="+at+" "+strconv.FormatInt(info.Size(), 10)+" "+strconv.FormatInt(info.ModTime().UnixNano(), 10))
		}
	}
	return out
}

// lookup finds a program on a PATH other than this process's.
func lookup(pathVar, name string) (string, os.FileInfo, bool) {
	if strings.Contains(name, "/") {
		return "", nil, false // of the export: the tree's ID covers it, or it is absolute and named in the command
	}
	for _, dir := range strings.Split(pathVar, ":") {
		at := dir + "/" + name
		if !strings.HasPrefix(at, "/") {
			continue
		}
		if found, err := exec.LookPath(at); err == nil {
			if info, err := os.Stat(found); err == nil && info.Mode().IsRegular() {
				return found, info, true
			}
		}
	}
	return "", nil, false
}
