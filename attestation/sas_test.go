package attestation_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
)

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func clock() time.Time { return now }

// sign makes a token by the rule, independently of the package: HMAC over the literal
// text of sr and se.
func sign(sr, se string, key []byte, layout string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(sr + "\n" + se))
	sig := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return strings.NewReplacer("{sr}", sr, "{se}", se, "{sig}", url.QueryEscape(sig), "{rawsig}", sig).Replace(layout)
}

func token(t *testing.T, text string) attestation.TokenEvidence {
	t.Helper()
	parsed, err := attestation.ParseSASToken(text)
	if err != nil {
		t.Fatalf("ParseSASToken(%q): %v", text, err)
	}
	return attestation.TokenEvidence{Token: parsed}
}

func seconds(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }

func TestVerifyKey(t *testing.T) {
	t.Parallel()
	primary, secondary := []byte("0123456789abcdef0123456789abcdef"), []byte("fedcba9876543210fedcba9876543210")
	encode := func(b []byte) dps.Secret { return dps.NewSecret(base64.StdEncoding.EncodeToString(b)) }
	stored := attestation.SymmetricKey{Primary: encode(primary), Secondary: encode(secondary)}
	subject := attestation.Subject{Scope: "0ne00AB12CD", ID: "Dev-1"}
	const node = "SharedAccessSignature sr={sr}&sig={sig}&skn=registration&se={se}"
	raw, upper, lower := "0ne00AB12CD/registrations/Dev-1", "0ne00AB12CD%2Fregistrations%2FDev-1", "0ne00AB12CD%2fregistrations%2fDev-1"
	good := seconds(time.Hour)
	for _, tt := range []struct {
		name string
		text string
		ok   bool
	}{
		{"Node: raw resource", sign(raw, good, primary, node), true},
		{"Python: encoded resource, no key name", sign(upper, good, primary, "SharedAccessSignature sr={sr}&sig={sig}&se={se}"), true},
		{"C: lower-case escapes", sign(lower, good, primary, "SharedAccessSignature sr={sr}&sig={sig}&se={se}&skn=registration"), true},
		{"Java: empty key name", sign(raw, good, primary, "SharedAccessSignature sr={sr}&sig={sig}&se={se}&skn="), true},
		{"signature with bare plus signs", sign(raw, good, primary, "SharedAccessSignature sr={sr}&sig={rawsig}&se={se}"), true},
		{"fields in another order, one unknown", sign(upper, good, primary, "SharedAccessSignature se={se}&x=y&skn=z&sig={sig}&sr={sr}"), true},
		{"secondary key", sign(upper, good, secondary, node), true},
		{"resource in another letter case", sign("0NE00ab12cd/REGISTRATIONS/dev-1", good, primary, node), true},
		{"expired within the clock skew", sign(upper, seconds(-4*time.Minute), primary, node), true},
		{"good for a day", sign(upper, seconds(24*time.Hour), primary, node), true},
		{"expired past the clock skew", sign(upper, seconds(-6*time.Minute), primary, node), false},
		{"wrong key", sign(upper, good, []byte("another key of thirty-two bytes!"), node), false},
		{"another device's resource", sign("0ne00AB12CD%2Fregistrations%2FDev-2", good, primary, node), false},
		{"another scope's resource", sign("0ne00AB12CE%2Fregistrations%2FDev-1", good, primary, node), false},
		{"a resource that only begins alike", sign("0ne00AB12CD%2Fregistrations%2FDev-1x", good, primary, node), false},
		{"expiry that is no number", sign(upper, "tomorrow", primary, node), false},
		{"expiry beyond any calendar", sign(upper, "9223372036854775807", primary, node), false},
		{"expiry changed after signing", strings.Replace(sign(upper, good, primary, node), good, seconds(2*time.Hour), 1), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := attestation.NewVerifier(clock).VerifyKey(stored, token(t, tt.text), subject)
			if tt.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tt.ok && dps.CodeOf(err) != dps.Unauthorized {
				t.Errorf("got %v, want Unauthorized", err)
			}
		})
	}
}

func TestParseSASTokenRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":                  "",
		"another scheme":         "Bearer abc",
		"scheme alone":           "SharedAccessSignature",
		"no signature":           "SharedAccessSignature sr=a&se=1",
		"no expiry":              "SharedAccessSignature sr=a&sig=YQ%3D%3D",
		"no resource":            "SharedAccessSignature sig=YQ%3D%3D&se=1",
		"signature not base64":   "SharedAccessSignature sr=a&sig=!!&se=1",
		"broken escape":          "SharedAccessSignature sr=a&sig=%zz&se=1",
		"two resources":          "SharedAccessSignature sr=a&sr=b&sig=YQ%3D%3D&se=1",
		"two signatures":         "SharedAccessSignature sr=a&sig=YQ%3D%3D&sig=Yg%3D%3D&se=1",
		"two expiries":           "SharedAccessSignature sr=a&sig=YQ%3D%3D&se=1&se=2",
		"longer than any token":  "SharedAccessSignature sr=" + strings.Repeat("a", attestation.MaxTokenLength) + "&sig=YQ%3D%3D&se=1",
		"broken escape in a key": "SharedAccessSignature sr=a&sig=YQ%3D%3D&se=1&skn=%",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := attestation.ParseSASToken(text); dps.CodeOf(err) != dps.Unauthorized || err == nil {
				t.Errorf("got %v, want Unauthorized", err)
			}
		})
	}
}

// TestDeriveDeviceKey holds the derivation to the vector published with the
// original's documentation of symmetric key attestation.
func TestDeriveDeviceKey(t *testing.T) {
	t.Parallel()
	group := dps.NewSecret("8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==")
	got, err := attestation.DeriveDeviceKey(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
	if err != nil {
		t.Fatal(err)
	}
	if want := "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="; got.Reveal() != want {
		t.Errorf("derived key = %s, want %s", got.Reveal(), want)
	}
}

func TestVerifyGroupKey(t *testing.T) {
	t.Parallel()
	key := func(c byte) dps.Secret {
		return dps.NewSecret(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(c), 64))))
	}
	group := attestation.GroupKey{Primary: key('a'), Secondary: key('b')}
	derived := func(from dps.Secret, id string) []byte {
		d, err := attestation.DeriveDeviceKey(from, id)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(d.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	groupRaw, err := base64.StdEncoding.DecodeString(group.Primary.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, spelling string
		key            []byte
		ok             bool
	}{
		{"derived from the primary key", "SN-7", derived(group.Primary, "SN-7"), true},
		{"derived from the secondary key", "SN-7", derived(group.Secondary, "SN-7"), true},
		{"derived from the lower-cased ID, as guides do", "sn-7", derived(group.Primary, "sn-7"), true},
		{"the group key itself", "", groupRaw, false},
		{"derived for another device", "", derived(group.Primary, "SN-8"), false},
		{"derived from another group", "", derived(key('c'), "SN-7"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := token(t, attestation.SignToken("0ne1/registrations/SN-7", "registration", tt.key, now.Add(time.Hour)))
			_, spelling, err := attestation.NewVerifier(clock).VerifyGroupKey(group, e, attestation.Subject{Scope: "0ne1", ID: "SN-7"})
			if (err == nil) != tt.ok || spelling != tt.spelling {
				t.Errorf("got spelling %q, error %v; want ok %t, spelling %q", spelling, err, tt.ok, tt.spelling)
			}
		})
	}
}

func FuzzParseSASToken(f *testing.F) {
	f.Add("SharedAccessSignature sr=0ne%2Fregistrations%2Fd&sig=YQ%3D%3D&se=1&skn=registration")
	f.Add("SharedAccessSignature sr=&&=&sig=+&se=")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := attestation.ParseSASToken(text)
		if err != nil {
			return
		}
		parsed.Expired(now)
		parsed.SignedBy([]byte("key"))
		_, _ = parsed.Path()
		if _, err := attestation.NewVerifier(clock).VerifyKey(attestation.SymmetricKey{Primary: dps.NewSecret("MDEyMzQ1Njc4OWFiY2RlZg==")}, attestation.TokenEvidence{Token: parsed}, attestation.Subject{Scope: "0ne", ID: "d"}); err == nil {
			t.Errorf("token %q was accepted without the key", text)
		}
	})
}
