package attestation_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/internal/testtpm"
)

// TestTPM has an emulated TPM take keys in and sign with them.
func TestTPM(t *testing.T) {
	t.Parallel()
	for _, kind := range []testtpm.Kind{testtpm.RSA, testtpm.ECC} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			device := testtpm.Open(t, kind)
			keys, err := attestation.ParseTPMKeys(device.EndorsementKey, device.StorageRootKey)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{16, 32, 64} {
				key := bytes.Repeat([]byte{byte(size)}, size)
				blob, err := keys.Wrap(rand.Reader, key, []byte("0ne1/registrations/dev-1"))
				if err != nil {
					t.Fatal(err)
				}
				got, err := device.Sign(blob, []byte("to sign"))
				if err != nil {
					t.Fatalf("key of %d bytes: %v", size, err)
				}
				mac := hmac.New(sha256.New, key)
				mac.Write([]byte("to sign"))
				if !hmac.Equal(got, mac.Sum(nil)) {
					t.Errorf("key of %d bytes: the TPM signs with another key", size)
				}
			}
		})
	}
}

// TestBlob holds the bytes to what the genuine service sends.
func TestBlob(t *testing.T) {
	t.Parallel()
	for kind, sizes := range map[testtpm.Kind][6]int{
		testtpm.RSA: {52, 256, 142, 256, 48, 24}, testtpm.ECC: {52, 68, 142, 68, 48, 24},
	} {
		soft, keys := softTPM(t, kind)
		want := bytes.Repeat([]byte{7}, 32)
		blob, err := keys.Wrap(rand.Reader, want, []byte("0ne1/registrations/dev-1"))
		if err != nil {
			t.Fatal(err)
		}
		fields, err := testtpm.Fields(blob)
		if err != nil {
			t.Fatal(err)
		}
		var got [6]int
		for i, f := range fields {
			got[i] = len(f)
		}
		if diff := cmp.Diff(sizes, got); diff != "" {
			t.Errorf("%s: sizes of fields (-want +got):\n%s", kind, diff)
		}
		if start := []byte{0, 8, 0, 0x0b, 0, 4, 4, 0x40, 0, 0, 0, 5, 0, 0x0b, 0, 0x20}; !bytes.HasPrefix(fields[4], start) {
			t.Errorf("%s: public area is %x", kind, fields[4])
		}
		key, note, err := soft.Open(blob)
		if err != nil || !bytes.Equal(key, want) || string(note) != "0ne1/registrations/dev-1" {
			t.Errorf("%s: opened key %x, note %q, error %v", kind, key, note, err)
		}
		long, err := keys.Wrap(rand.Reader, want, bytes.Repeat([]byte("n"), 500))
		if err != nil || len(long) > 940 {
			t.Errorf("%s: a blob with a long note has %d bytes, more than SASL takes in two parts (%v)", kind, len(long), err)
		}
		for _, size := range []int{0, 15, 65} {
			if _, err := keys.Wrap(rand.Reader, make([]byte, size), nil); err == nil {
				t.Errorf("a key of %d bytes, which no TPM imports, is wrapped", size)
			}
		}
		if _, err := keys.Wrap(strings.NewReader("too little randomness"), want, nil); err == nil {
			t.Error("a blob is made without randomness")
		}
	}
}

func softTPM(t *testing.T, kind testtpm.Kind) (*testtpm.Soft, attestation.TPMKeys) {
	t.Helper()
	soft, err := testtpm.NewSoft(kind)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := attestation.ParseTPMKeys(soft.Endorsement.Public, soft.StorageRoot.Public)
	if err != nil {
		t.Fatal(err)
	}
	return soft, keys
}

// TestParseTPMKey refuses what could leave its TPM, and what TPMs or we can't encrypt to.
func TestParseTPMKey(t *testing.T) {
	t.Parallel()
	soft, _ := softTPM(t, testtpm.RSA)
	curve, _ := softTPM(t, testtpm.ECC)
	rsaParms := func(p *tpm2.TPMTPublic) *tpm2.TPMSRSAParms { d, _ := p.Parameters.RSADetail(); return d }
	eccParms := func(p *tpm2.TPMTPublic) *tpm2.TPMSECCParms { d, _ := p.Parameters.ECCDetail(); return d }
	for _, tt := range []struct {
		name, rule string
		of         []byte
		change     func(*tpm2.TPMTPublic)
	}{
		{"could be duplicated", "attributes", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false }},
		{"parent could be duplicated", "attributes", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedParent = false }},
		{"made outside", "attributes", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false }},
		{"decrypts anything", "attributes", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false }},
		{"does not decrypt", "attributes", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Decrypt = false }},
		{"signs", "attributes", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SignEncrypt = true }},
		{"name of SHA-1", "nameAlg", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { p.NameAlg = tpm2.TPMAlgSHA1 }},
		{"1024 bits", "size", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { rsaParms(p).KeyBits = 1024 }},
		{"modulus too short", "key", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { rsaParms(p).KeyBits = 3072 }},
		{"even modulus", "key", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { n, _ := p.Unique.RSA(); n.Buffer[255] &^= 1 }},
		{"small modulus", "key", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { n, _ := p.Unique.RSA(); n.Buffer[0] = 1 }},
		{"exponent 3", "key", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { rsaParms(p).Exponent = 3 }},
		{"RSA scheme", "scheme", soft.Endorsement.Public, func(p *tpm2.TPMTPublic) {
			rsaParms(p).Scheme = tpm2.TPMTRSAScheme{Scheme: tpm2.TPMAlgRSAES, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSAES, &tpm2.TPMSEncSchemeRSAES{})}
		}},
		{"AES-192", "symmetric", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) {
			rsaParms(p).Symmetric.KeyBits = tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(192))
		}},
		{"AES-CBC", "symmetric", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) {
			rsaParms(p).Symmetric.Mode = tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCBC)
		}},
		{"no cipher", "symmetric", soft.StorageRoot.Public, func(p *tpm2.TPMTPublic) {
			rsaParms(p).Symmetric = tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}
		}},
		{"another curve", "size", curve.StorageRoot.Public, func(p *tpm2.TPMTPublic) { eccParms(p).CurveID = tpm2.TPMECCNistP521 }},
		{"no point of the curve", "key", curve.StorageRoot.Public, func(p *tpm2.TPMTPublic) { u, _ := p.Unique.ECC(); u.X.Buffer[5] ^= 1 }},
	} {
		got := refusedRule(t, changed(t, tt.of, tt.change))
		if got != tt.rule {
			t.Errorf("%s: breaks rule %q, want %q", tt.name, got, tt.rule)
		}
	}
	whole := soft.Endorsement.Public
	for name, bad := range map[string][]byte{
		"cut short": whole[:100], "no length": whole[2:], "two keys": append(bytes.Clone(whole), whole...),
		"more than it says":   binary.BigEndian.AppendUint16(nil, uint16(len(whole))),
		"something behind it": append(binary.BigEndian.AppendUint16(nil, uint16(len(whole)-1)), append(bytes.Clone(whole[2:]), 0)...),
	} {
		if got := refusedRule(t, bad); got != "tpm2b" {
			t.Errorf("%s: breaks rule %q", name, got)
		}
	}
	if got := refusedRule(t, nil); got != "required" {
		t.Errorf("no key breaks rule %q", got)
	}
	if got := refusedRule(t, make([]byte, 3000)); got != "length" {
		t.Errorf("3000 bytes break rule %q", got)
	}
	if got := refusedRule(t, changed(t, soft.Endorsement.Public, func(p *tpm2.TPMTPublic) { rsaParms(p).Exponent = 65537 })); got != "" {
		t.Errorf("the exponent spelled out breaks rule %q", got)
	}
}

func changed(t *testing.T, of []byte, change func(*tpm2.TPMTPublic)) []byte {
	t.Helper()
	sized, err := tpm2.Unmarshal[tpm2.TPM2BPublic](of)
	if err != nil {
		t.Fatal(err)
	}
	public, err := sized.Contents()
	if err != nil {
		t.Fatal(err)
	}
	change(public)
	return tpm2.Marshal(tpm2.New2B(*public))
}

func refusedRule(t *testing.T, b []byte) string {
	t.Helper()
	_, err := attestation.ParseTPMKey("tpm.storageRootKey", b)
	if err == nil {
		return ""
	}
	coded, ok := errors.AsType[*dps.Error](err)
	if !ok || coded.Code != dps.InvalidArgument || coded.Info["field"] != "tpm.storageRootKey" {
		t.Fatalf("error %v", err)
	}
	return coded.Info["rule"]
}

// world is a device's TPM and the replicas of a service, whose secrets and clock tests move.
type tpmWorld struct {
	*testing.T
	tpm     *testtpm.Soft
	secrets [][]byte
	now     time.Time
}

func newTPMWorld(t *testing.T) *tpmWorld {
	t.Helper()
	soft, _ := softTPM(t, testtpm.ECC)
	return &tpmWorld{T: t, tpm: soft, secrets: [][]byte{bytes.Repeat([]byte{1}, 32)}, now: time.Date(2026, 3, 4, 5, 59, 0, 0, time.UTC)}
}

func (w *tpmWorld) replica() *attestation.Verifier {
	v := attestation.NewVerifier(func() time.Time { return w.now })
	v.Challenger = attestation.NewChallenger(w.secrets, rand.Reader)
	return v
}

func (w *tpmWorld) keys() attestation.TPMEvidence {
	return attestation.TPMEvidence{EndorsementKey: w.tpm.Endorsement.Public, StorageRootKey: w.tpm.StorageRoot.Public}
}

func (w *tpmWorld) challenge(e attestation.TPMEvidence, s attestation.Subject) []byte {
	w.Helper()
	err := w.replica().Challenge(e, s)
	challenge, ok := errors.AsType[*attestation.ChallengeError](err)
	if !ok || dps.CodeOf(err) != dps.Unauthenticated {
		w.Fatalf("first round answers %v", err)
	}
	return challenge.AuthenticationKey
}

// sign signs as the subject with a key.
func (w *tpmWorld) sign(key []byte, s attestation.Subject) *attestation.SASToken {
	w.Helper()
	token, err := attestation.ParseSASToken(attestation.SignToken(string(s.Scope)+"/registrations/"+string(s.ID), "registration", key, w.now.Add(3*time.Hour)))
	if err != nil {
		w.Fatal(err)
	}
	return &token
}

// answer is the evidence of the second round.
func (w *tpmWorld) answer(s attestation.Subject) attestation.TPMEvidence {
	w.Helper()
	key, _, err := w.tpm.Open(w.challenge(w.keys(), s))
	if err != nil {
		w.Fatal(err)
	}
	e := w.keys()
	e.Token = w.sign(key, s)
	return e
}

var tpmDevice = attestation.Subject{Scope: "0ne1", ID: "Dev-1"}

// TestChallengeLife follows a challenge through the hours, replicas and secrets.
func TestChallengeLife(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	e := w.answer(tpmDevice)
	proof, err := w.replica().VerifyTPM(e, nil, attestation.Subject{Scope: "0NE1", ID: "dev-1"})
	if err != nil {
		t.Fatal(err)
	}
	if proof.Kind != attestation.KindTPM || proof.TPM == nil {
		t.Fatalf("proof %+v", proof)
	}
	w.now = w.now.Add(2 * time.Minute) // the next hour
	w.secrets = append([][]byte{bytes.Repeat([]byte{2}, 32)}, w.secrets...)
	if _, err := w.replica().VerifyTPM(e, nil, tpmDevice); err != nil {
		t.Errorf("in the next hour, after a rotation: %v", err)
	}
	w.now = w.now.Add(time.Hour)
	if _, err := w.replica().VerifyTPM(e, nil, tpmDevice); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("two hours on, the challenge still counts: %v", err)
	}
	token := attestation.TokenEvidence{Token: *e.Token}
	stored := attestation.TPM{EndorsementKey: w.tpm.Endorsement.Public}
	if _, err := w.replica().VerifyTPM(e, proof.TPM, tpmDevice); err != nil {
		t.Errorf("two hours on, with an operation that began with it: %v", err)
	}
	if _, err := w.replica().VerifyTPMToken(stored, proof.TPM, token, tpmDevice); err != nil {
		t.Errorf("a poll with an operation that began with it: %v", err)
	}
	closed := *proof.TPM
	closed.Hour = 0
	if _, err := w.replica().VerifyTPMToken(stored, &closed, token, tpmDevice); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("a poll long after the operation: %v", err)
	}
	if _, err := w.replica().VerifyTPMToken(stored, nil, token, tpmDevice); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("a poll without an operation: %v", err)
	}
	w.secrets = w.secrets[:1]
	if _, err := w.replica().VerifyTPM(e, proof.TPM, tpmDevice); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("a challenge of a secret that is gone: %v", err)
	}
}

// TestTPMAttacks tries to come in without the TPM, or with what was given to others.
func TestTPMAttacks(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	thief, err := testtpm.NewSoft(testtpm.ECC)
	if err != nil {
		t.Fatal(err)
	}
	mixed := attestation.TPMEvidence{EndorsementKey: w.tpm.Endorsement.Public, StorageRootKey: thief.StorageRoot.Public}

	// The stolen endorsement key is public; the blob made for it opens nowhere else.
	if _, _, err := thief.Open(w.challenge(w.keys(), tpmDevice)); err == nil {
		t.Error("another TPM opens the challenge")
	}
	half := &testtpm.Soft{Endorsement: thief.Endorsement, StorageRoot: w.tpm.StorageRoot}
	if _, _, err := half.Open(w.challenge(w.keys(), tpmDevice)); err == nil {
		t.Error("the storage root key alone opens the challenge")
	}
	half = &testtpm.Soft{Endorsement: thief.Endorsement, StorageRoot: thief.StorageRoot}
	if _, _, err := half.Open(w.challenge(mixed, tpmDevice)); err == nil {
		t.Error("who brings his own storage root key opens the challenge")
	}
	// Nor can the blob be made to fit: a credential is bound to its storage root key.
	ours, theirs := fieldsOf(t, w.challenge(w.keys(), tpmDevice)), fieldsOf(t, w.challenge(mixed, tpmDevice))
	if _, _, err := w.tpm.Open(join(ours[0], ours[1], theirs[2], theirs[3], theirs[4], theirs[5])); err == nil {
		t.Error("parts of two challenges open as one")
	}

	own := attestation.TPMEvidence{EndorsementKey: thief.Endorsement.Public, StorageRootKey: thief.StorageRoot.Public}
	thiefsKey, _, err := thief.Open(w.challenge(own, tpmDevice))
	if err != nil {
		t.Fatal(err)
	}
	good := w.answer(tpmDevice)
	with := func(e attestation.TPMEvidence, token *attestation.SASToken) attestation.TPMEvidence {
		e.Token = token
		return e
	}
	neighbour, elsewhere := attestation.Subject{Scope: "0ne1", ID: "dev-2"}, attestation.Subject{Scope: "0ne2", ID: "Dev-1"}
	neighboursKey, _, err := w.tpm.Open(w.challenge(w.keys(), neighbour))
	if err != nil {
		t.Fatal(err)
	}
	elsewheresKey, _, err := w.tpm.Open(w.challenge(w.keys(), elsewhere))
	if err != nil {
		t.Fatal(err)
	}
	w.tpm.StorageRoot = thief.StorageRoot // cleared: the same TPM, another storage root key
	clearedsKey, _, err := w.tpm.Open(w.challenge(w.keys(), tpmDevice))
	if err != nil {
		t.Fatal(err)
	}
	good2 := with(w.keys(), w.sign(clearedsKey, tpmDevice))
	for name, tt := range map[string]struct {
		e  attestation.TPMEvidence
		s  attestation.Subject
		ok bool
	}{
		"the device":                            {good, tpmDevice, true},
		"the device after a clear":              {good2, tpmDevice, true},
		"the key of the thief's TPM":            {with(good, w.sign(thiefsKey, tpmDevice)), tpmDevice, false},
		"a zero key":                            {with(good, w.sign(make([]byte, 32), tpmDevice)), tpmDevice, false},
		"the challenge of another device":       {with(good, w.sign(neighboursKey, tpmDevice)), tpmDevice, false},
		"the challenge of another scope":        {with(good, w.sign(elsewheresKey, tpmDevice)), tpmDevice, false},
		"another device's token":                {good, neighbour, false},
		"another scope's token":                 {good, elsewhere, false},
		"a token for another device, right key": {with(good, w.sign(neighboursKey, tpmDevice)), neighbour, false},
		"the storage root key swapped":          {with(mixed, good.Token), tpmDevice, false},
		"the storage root key swapped back":     {with(good, good2.Token), tpmDevice, false},
		"no token":                              {with(good, nil), tpmDevice, false},
	} {
		if _, err := w.replica().VerifyTPM(tt.e, nil, tt.s); (err == nil) != tt.ok || err != nil && !dps.Is(err, dps.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := attestation.NewVerifier(time.Now).Challenge(w.keys(), tpmDevice); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("without secrets the first round answers %v", err)
	}
}

func fieldsOf(t *testing.T, blob []byte) [6][]byte {
	t.Helper()
	fields, err := testtpm.Fields(blob)
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func join(fields ...[]byte) (blob []byte) {
	for _, f := range fields {
		blob = append(binary.BigEndian.AppendUint16(blob, uint16(len(f))), f...)
	}
	return blob
}

// TestHubKeys: a hub key follows from device, scope and both keys of the TPM, and reaches
// the TPM.
func TestHubKeys(t *testing.T) {
	t.Parallel()
	w := newTPMWorld(t)
	w.secrets = append(w.secrets, bytes.Repeat([]byte{9}, 32))
	m := attestation.TPM{EndorsementKey: w.tpm.Endorsement.Public}
	seen := map[string]bool{}
	for _, s := range []attestation.Subject{tpmDevice, {Scope: "0ne1", ID: "dev-2"}, {Scope: "0ne2", ID: "dev-1"}} {
		for _, root := range []string{"root", "other"} {
			pairs, err := w.replica().TPMHubKeys(m, []byte(root), s)
			if err != nil || len(pairs) != 2 {
				t.Fatalf("%d pairs, %v", len(pairs), err)
			}
			for _, p := range pairs {
				for _, key := range []dps.Secret{p.Primary, p.Secondary} {
					if seen[key.Reveal()] {
						t.Errorf("%v: a key is used twice", s)
					}
					seen[key.Reveal()] = true
				}
			}
		}
	}
	pairs, err := w.replica().TPMHubKeys(m, nil, tpmDevice)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.replica().TPMHubKeys(m, nil, attestation.Subject{Scope: "0NE1", ID: "dev-1"})
	if err != nil || !again[0].Primary.Equal(pairs[0].Primary) {
		t.Errorf("another spelling has another key (%v)", err)
	}
	blob, err := w.replica().WrapHubKey(w.keys(), pairs[0].Primary, tpmDevice)
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := w.tpm.Open(blob)
	if want := dps.NewSecret(base64.StdEncoding.EncodeToString(key)); err != nil || !want.Equal(pairs[0].Primary) {
		t.Errorf("the TPM holds another key (%v)", err)
	}
	if _, err := w.replica().TPMHubKeys(attestation.TPM{EndorsementKey: []byte("no key")}, nil, tpmDevice); err == nil || dps.CodeOf(err) != dps.Internal {
		t.Errorf("an enrolled key that is none: %v", err)
	}
}

func FuzzTPMKey(f *testing.F) {
	for _, kind := range []testtpm.Kind{testtpm.RSA, testtpm.ECC} {
		soft, err := testtpm.NewSoft(kind)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(soft.Endorsement.Public)
		f.Add(soft.StorageRoot.Public)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := attestation.ParseTPMKey("tpm.endorsementKey", b)
		if err != nil {
			if !dps.Is(err, dps.InvalidArgument) {
				t.Errorf("error %v", err)
			}
			return
		}
		blob, err := attestation.TPMKeys{Endorsement: key, StorageRoot: key}.Wrap(rand.Reader, make([]byte, 32), []byte("note"))
		if err != nil {
			t.Fatalf("a key that was taken can't be used: %v", err)
		}
		if _, err := testtpm.Fields(blob); err != nil {
			t.Error(err)
		}
	})
}
