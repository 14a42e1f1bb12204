// Reads a zip archive from standard input as a stream and says what is in it.

import java.io.IOException;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

class ZipStream {
    public static void main(String[] arguments) throws IOException {
        int entries = 0;
        long bytes = 0;
        var sum = new CRC32();
        var buffer = new byte[1 << 16];
        try (var archive = new ZipInputStream(System.in)) {
            for (ZipEntry entry = archive.getNextEntry(); entry != null; entry = archive.getNextEntry()) {
                entries++;
                for (int count; (count = archive.read(buffer)) > 0; bytes += count) {
                    sum.update(buffer, 0, count);
                }
            }
        }
        System.out.println(entries + " " + bytes + " " + sum.getValue());
    }
}
