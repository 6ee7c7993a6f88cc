package towpath

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"io"
	"strings"
	"time"
)

// Names that people choose. They match [NamePattern] (lower-case DNS labels).
type (
	ProjectName     string
	ComponentName   string
	EnvironmentName string
	AccountName     string // "ana"
	PlaceName       string // where an agent runs things: "local"
	KeyName         string // of a trusted key: "builder-2026"
)

// NamePattern is the shape of every name that people choose.
const NamePattern = `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`

// Identifiers that Towpath mints: a prefix and 26 characters that sort by time.
type (
	PromotionID  string // prm_…
	DeploymentID string // dep_…
	TokenID      string // tok_…
	EventID      string // evt_…
	ApprovalID   string // apr_…
	FreezeID     string // frz_…
)

// Identifiers that are hashes of what they name.
type (
	CandidateID string // cnd_…: of release, provenance and commit
	OperationID string // op_…: of deployment, target, step and plan
	RevisionID  string // rev_…: of a component's layer and rendered settings
	CommitID    string // a full git object name, lower-case hex
)

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID mints an identifier "prefix_" + 26 characters: 48 bits of milliseconds
// since 1970, 80 random bits; so IDs sort by time. Mint IDs before the
// transaction that stores them: its closure may run twice.
func NewID[T ~string](prefix string, now time.Time) T {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	if _, err := io.ReadFull(rand.Reader, b[6:]); err != nil {
		panic(err) // crypto/rand does not fail on supported systems
	}
	return T(prefix + "_" + idEncoding.EncodeToString(b[:]))
}

// HashID derives an identifier "prefix_" + 26 characters from parts, which are
// length-delimited so that no two lists of parts collide.
func HashID[T ~string](prefix string, parts ...string) T {
	sum := hashParts(parts)
	return T(prefix + "_" + idEncoding.EncodeToString(sum[:16]))
}

// Short is an abbreviation of an identifier or digest for people: the first
// twelve characters after its prefix.
func Short[T ~string](id T) string {
	s := string(id)
	if i := strings.LastIndexAny(s, ":_"); i >= 0 {
		s = s[i+1:]
	}
	if len(s) > 12 {
		s = s[:12]
	}
	return s
}
