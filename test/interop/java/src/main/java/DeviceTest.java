import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClient;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientRegistrationResult;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientStatus;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientTransportProtocol;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProvider;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProviderSymmetricKey;
import com.microsoft.azure.sdk.iot.provisioning.security.hsm.SecurityProviderX509Cert;
import com.microsoft.azure.sdk.iot.provisioning.service.ProvisioningServiceClient;
import com.microsoft.azure.sdk.iot.provisioning.service.configs.*;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;

/**
 * First boot with the public Java device client, unmodified.
 *
 * <p>Arguments: the protocols, as the client names them. DPS_DEVICE_HOST, DPS_ID_SCOPE: of the
 * deployment; DPS_SERVICE_CONNECTION_STRING: of an owner; DPS_CERTS: folder with device
 * certificates, for each protocol ind-java-PROTOCOL and grp-java-PROTOCOL. The JVM's trust store
 * holds the development CA.
 */
public final class DeviceTest {
  private static final String UNIQUE = Long.toHexString(System.currentTimeMillis());
  private static final int PATIENCE = 30_000; // milliseconds

  private final ProvisioningServiceClient service =
      new ProvisioningServiceClient(System.getenv("DPS_SERVICE_CONNECTION_STRING"));
  private final ProvisioningDeviceClientTransportProtocol protocol;
  private final String name;

  private DeviceTest(String protocol) {
    this.protocol = ProvisioningDeviceClientTransportProtocol.valueOf(protocol);
    this.name = "java-" + protocol.toLowerCase(java.util.Locale.ROOT);
  }

  public static void main(String[] protocols) throws Exception {
    for (String p : protocols) {
      DeviceTest t = new DeviceTest(p);
      step(p + ", symmetric key, individual", t::keyIndividual);
      step(p + ", symmetric key, group", t::keyGroup);
      step(p + ", X.509, individual", t::certificateIndividual);
      step(p + ", X.509, group with an intermediate in the chain", t::certificateGroup);
      step(p + ", refused", t::refused);
    }
    System.exit(0); // the client leaves threads behind
  }

  private interface Step {
    void run() throws Exception;
  }

  private static void step(String name, Step s) throws Exception {
    long began = System.nanoTime();
    try {
      s.run();
      check(millisecondsSince(began) < PATIENCE, "the client gave up waiting");
    } catch (Throwable e) {
      System.out.println("FAILED " + name);
      e.printStackTrace(System.out);
      System.exit(1);
    }
    System.out.println("ok " + name + " (" + millisecondsSince(began) + " ms)");
  }

  private static long millisecondsSince(long began) {
    return (System.nanoTime() - began) / 1_000_000;
  }

  private void keyIndividual() throws Exception {
    String id = name + "-sym-" + UNIQUE;
    SymmetricKeyAttestation made =
        (SymmetricKeyAttestation) service.createOrUpdateIndividualEnrollment(new IndividualEnrollment(id, generated())).getAttestation();
    assigned(id, withKey(made.getPrimaryKey(), id));
  }

  private void keyGroup() throws Exception {
    String group = name + "-grp-sym-" + UNIQUE;
    String id = name + "-grouped-" + UNIQUE;
    SymmetricKeyAttestation made =
        (SymmetricKeyAttestation) service.createOrUpdateEnrollmentGroup(new EnrollmentGroup(group, generated())).getAttestation();
    byte[] derived =
        SecurityProviderSymmetricKey.ComputeDerivedSymmetricKey(made.getPrimaryKey().getBytes(StandardCharsets.UTF_8), id);
    assigned(id, new SecurityProviderSymmetricKey(derived, id));
    service.deleteEnrollmentGroup(group);
  }

  private void certificateIndividual() throws Exception {
    String id = "ind-" + name;
    service.createOrUpdateIndividualEnrollment(
        new IndividualEnrollment(id, X509Attestation.createFromClientCertificates(pem(id + ".pem"))));
    assigned(id, withCertificate(id + ".pem", id + ".key"));
  }

  private void certificateGroup() throws Exception {
    String group = name + "-grp-x509-" + UNIQUE;
    String id = "grp-" + name;
    service.createOrUpdateEnrollmentGroup(
        new EnrollmentGroup(group, X509Attestation.createFromRootCertificates(pem("root.pem"))));
    assigned(id, withCertificate(id + ".chain.pem", id + ".key"));
    service.deleteEnrollmentGroup(group);
  }

  private void refused() throws Exception {
    String id = name + "-refused-" + UNIQUE;
    String key = Base64.getEncoder().encodeToString(new byte[32]);
    ProvisioningDeviceClientStatus status;
    try {
      status = register(withKey(key, id)).getProvisioningDeviceClientStatus();
    } catch (Exception e) {
      return;
    }
    check(status == ProvisioningDeviceClientStatus.PROVISIONING_DEVICE_STATUS_ERROR, "an unknown device is told " + status);
  }

  private void assigned(String id, SecurityProvider security) throws Exception {
    ProvisioningDeviceClientRegistrationResult r = register(security);
    check(
        r.getProvisioningDeviceClientStatus() == ProvisioningDeviceClientStatus.PROVISIONING_DEVICE_STATUS_ASSIGNED,
        "status " + r.getProvisioningDeviceClientStatus());
    check(id.equals(r.getDeviceId()), "device ID " + r.getDeviceId());
    check(
        List.of(System.getenv("DPS_HUBS").split(",")).contains(r.getIothubUri()), "assigned to " + r.getIothubUri());
  }

  private ProvisioningDeviceClientRegistrationResult register(SecurityProvider security) throws Exception {
    ProvisioningDeviceClient device =
        ProvisioningDeviceClient.create(System.getenv("DPS_DEVICE_HOST"), System.getenv("DPS_ID_SCOPE"), protocol, security);
    try {
      return device.registerDeviceSync(PATIENCE);
    } finally {
      device.close();
    }
  }

  private static SymmetricKeyAttestation generated() {
    return new SymmetricKeyAttestation("", "");
  }

  private static SecurityProvider withKey(String key, String id) {
    return new SecurityProviderSymmetricKey(key.getBytes(StandardCharsets.UTF_8), id);
  }

  private static SecurityProvider withCertificate(String chain, String key) throws Exception {
    List<X509Certificate> all = new ArrayList<>();
    CertificateFactory factory = CertificateFactory.getInstance("X.509");
    factory
        .generateCertificates(new ByteArrayInputStream(pem(chain).getBytes(StandardCharsets.UTF_8)))
        .forEach(c -> all.add((X509Certificate) c));
    String text = pem(key).replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", "");
    PrivateKey secret =
        KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(text)));
    return new SecurityProviderX509Cert(all.get(0), secret, all.subList(1, all.size()));
  }

  private static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  private static String pem(String file) throws Exception {
    return Files.readString(Path.of(System.getenv("DPS_CERTS"), file));
  }
}
