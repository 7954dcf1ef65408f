using RefConv.Models.Imaging.Jpeg;

namespace RefConv.Tests.Imaging;

/// <summary>A test that decodes JPEG files; skipped, with the reason, where libjpeg-turbo is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class TurboJpegFactAttribute : FactAttribute
{
    public TurboJpegFactAttribute(bool needsSharedData = false)
    {
        if (!TurboJpeg.IsAvailable) Skip = "needs libjpeg-turbo (apt-get install libturbojpeg0)";
        else if (needsSharedData) Skip = new SharedDataFactAttribute().Skip;
    }
}
