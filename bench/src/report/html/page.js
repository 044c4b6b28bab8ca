// Draws the figures that the page carries. Nothing is fetched: plotly.js is in the page, compressed.
(async () => {
  const places = [...document.querySelectorAll("[data-figure]")];
  const text = (id) => document.getElementById(id).textContent;
  const say = (place, words) => {
    place.classList.add("failed");
    place.textContent = words;
  };
  try {
    const bytes = Uint8Array.from(atob(text("plots").trim()), (letter) => letter.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(plain).text();
    document.head.append(script);
  } catch (error) {
    places.forEach((place) => say(place, "This browser cannot unpack the plots (" + error + "). The tables have the numbers."));
    document.documentElement.dataset.drawn = "0";
    return;
  }
  const figures = JSON.parse(text("figures"));
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: innerWidth < 640 ? false : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };
  // A finger that moves over a plot scrolls the page.
  const coarse = matchMedia("(pointer: coarse)").matches;
  const heights = new Map(places.map((place) => [place, figures[place.dataset.figure].layout.height]));
  let drawn = 0;
  for (const place of places) {
    const figure = figures[place.dataset.figure];
    place.replaceChildren();
    place.style.minHeight = "0";
    if (coarse) figure.layout.dragmode = false;
    try {
      await Plotly.newPlot(place, figure.data, figure.layout, config);
      drawn += 1;
    } catch (error) {
      console.error(place.dataset.figure, error);
      say(place, "This plot failed (" + error + "). The table has the numbers.");
    }
    // The page stays usable while many are drawn.
    await new Promise((done) => setTimeout(done));
  }
  document.documentElement.dataset.drawn = String(drawn);
  const all = () => places.filter((place) => place.layout);
  // Paper is narrower than most screens, and tells nobody.
  const paper = 690;
  const size = (width, share) =>
    all().forEach((place) => {
      const height = Math.round(heights.get(place) * share);
      Plotly.relayout(place, { width, height, autosize: width === null });
    });
  addEventListener("beforeprint", () => size(paper, 0.85));
  addEventListener("afterprint", () => size(null, 1));
})();
