import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClient;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientRegistrationResult;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientStatus;
import com.microsoft.azure.sdk.iot.provisioning.device.ProvisioningDeviceClientTransportProtocol;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProvider;
import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProviderSymmetricKey;
import com.microsoft.azure.sdk.iot.provisioning.security.hsm.SecurityProviderX509Cert;
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
import java.util.Locale;

/**
 * A device of the public Java client over one transport, and the rows that are printed.
 *
 * <p>DPS_DEVICE_HOST: of the deployment; DPS_CERTS: folder with device certificates, for each
 * protocol ind-java-PROTOCOL and grp-java-PROTOCOL. The JVM's trust store holds the development CA.
 */
final class Device {
  static final int PATIENCE = 45_000; // milliseconds

  final ProvisioningDeviceClientTransportProtocol protocol;
  final String name;
  private final String scope;

  Device(ProvisioningDeviceClientTransportProtocol protocol, String scope) {
    this.protocol = protocol;
    this.scope = scope;
    this.name = "java-" + protocol.name().toLowerCase(Locale.ROOT);
  }

  static List<Device> overEveryTransport(String scope) {
    List<Device> all = new ArrayList<>();
    for (ProvisioningDeviceClientTransportProtocol p : ProvisioningDeviceClientTransportProtocol.values()) {
      all.add(new Device(p, scope));
    }
    return all;
  }

  /** What a row is about; it may return what the client shows. */
  interface Act {
    String run() throws Exception;
  }

  /** Does something and prints its row. */
  void row(String what, Act act) {
    long began = System.nanoTime();
    try {
      String shown = act.run();
      long took = (System.nanoTime() - began) / 1_000_000;
      check(took < PATIENCE, "the client gave up waiting");
      System.out.printf("interop | Java | %s | %s | %s, %d ms%n", protocol, what, shown == null ? "ok" : shown, took);
    } catch (Throwable e) {
      System.out.println("FAILED " + protocol + ", " + what);
      e.printStackTrace(System.out);
      System.exit(1);
    }
  }

  ProvisioningDeviceClientRegistrationResult register(SecurityProvider security) throws Exception {
    ProvisioningDeviceClient device =
        ProvisioningDeviceClient.create(System.getenv("DPS_DEVICE_HOST"), scope, protocol, security);
    try {
      return device.registerDeviceSync(PATIENCE);
    } finally {
      device.close();
    }
  }

  ProvisioningDeviceClientRegistrationResult assigned(String id, SecurityProvider security) throws Exception {
    ProvisioningDeviceClientRegistrationResult r = register(security);
    check(
        r.getProvisioningDeviceClientStatus() == ProvisioningDeviceClientStatus.PROVISIONING_DEVICE_STATUS_ASSIGNED,
        "status " + r.getProvisioningDeviceClientStatus());
    check(id.equals(r.getDeviceId()), "device ID " + r.getDeviceId());
    return r;
  }

  /** Says in one line what the client makes of a refusal, without tracking IDs and the like. */
  String refusal(SecurityProvider security) {
    try {
      ProvisioningDeviceClientStatus status = register(security).getProvisioningDeviceClientStatus();
      check(status != ProvisioningDeviceClientStatus.PROVISIONING_DEVICE_STATUS_ASSIGNED, "the device was not refused");
      return "status " + status;
    } catch (Exception e) {
      return told(e);
    }
  }

  /** The exception and the text of what caused it. */
  private static String told(Throwable e) {
    Throwable cause = e;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    String text =
        String.valueOf(cause.getMessage())
            .replaceAll("\\{\"errorCode\":(\\d+).*", "errorCode $1")
            .replaceAll("(?s) - TrackingId.*", "");
    return e.getClass().getSimpleName() + ": " + text;
  }

  static SecurityProvider withKey(String key, String id) {
    return new SecurityProviderSymmetricKey(key.getBytes(StandardCharsets.UTF_8), id);
  }

  static SecurityProvider withDerivedKey(String groupKey, String id) throws Exception {
    return new SecurityProviderSymmetricKey(
        SecurityProviderSymmetricKey.ComputeDerivedSymmetricKey(groupKey.getBytes(StandardCharsets.UTF_8), id), id);
  }

  static SecurityProvider withCertificate(String chain, String key) throws Exception {
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

  static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  static String pem(String file) throws Exception {
    return Files.readString(Path.of(System.getenv("DPS_CERTS"), file));
  }
}
