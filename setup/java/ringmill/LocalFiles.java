package ringmill;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * Hadoop's local file system, but permissions are set by a call of the system. Without its native library, which pyspark does not
 * have, Hadoop starts the program chmod twice for each file that it creates: 7 ms of processor time.
 *
 * <p>Hadoop finds it as the last service of the scheme `file` on the class path; `fs.file.impl` names another.
 */
public final class LocalFiles extends LocalFileSystem {
  public LocalFiles() {
    super(new Raw());
  }

  private static final class Raw extends RawLocalFileSystem {
    private static final int OWNERS_READ = 0400; // the first of nine bits, in the order of PosixFilePermission
    private static final int OTHER_BITS = ~0777; // which have no name there, such as the sticky bit

    @Override
    public void setPermission(Path path, FsPermission permission) throws IOException {
      int bits = permission.toShort();
      if ((bits & OTHER_BITS) != 0) {
        super.setPermission(path, permission);
        return;
      }
      EnumSet<PosixFilePermission> set = EnumSet.noneOf(PosixFilePermission.class);
      for (PosixFilePermission each : PosixFilePermission.values()) {
        if ((bits & (OWNERS_READ >> each.ordinal())) != 0) {
          set.add(each);
        }
      }
      Files.setPosixFilePermissions(pathToFile(path).toPath(), set);
    }
  }
}
